package gocloud

import (
	"context"
	"errors"

	"gocloud.dev/gcerrors"

	"fairlead.dev"
)

var readCodes = map[gcerrors.ErrorCode]fairlead.Code{
	gcerrors.NotFound:           fairlead.NotFound,
	gcerrors.InvalidArgument:    fairlead.Invalid,
	gcerrors.PermissionDenied:   fairlead.PermissionDenied,
	gcerrors.DeadlineExceeded:   fairlead.DeadlineExceeded,
	gcerrors.Canceled:           fairlead.Canceled,
	gcerrors.Unimplemented:      fairlead.Unsupported,
	gcerrors.Internal:           fairlead.Internal,
	gcerrors.FailedPrecondition: fairlead.Conflict,
	gcerrors.AlreadyExists:      fairlead.Conflict,
}

// convertError converts the error of a read, or of a call that changed nothing.
// An error that gocloud.dev does not classify is most often a lost connection.
func convertError(err error) error {
	var ours *fairlead.Error
	if err == nil || errors.As(err, &ours) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fairlead.Errorf(fairlead.CodeOf(err), "%w", err)
	}
	code, known := readCodes[gcerrors.Code(err)]
	if !known {
		code = fairlead.Unavailable
	}
	return fairlead.Errorf(code, "%w", err)
}

// refusals are the codes of writes that the backend refused. After every other
// error it is unknown whether the write was applied.
var refusals = map[gcerrors.ErrorCode]fairlead.Code{
	gcerrors.NotFound:           fairlead.NotFound,
	gcerrors.AlreadyExists:      fairlead.Conflict,
	gcerrors.FailedPrecondition: fairlead.Conflict,
	gcerrors.InvalidArgument:    fairlead.Invalid,
	gcerrors.PermissionDenied:   fairlead.PermissionDenied,
	gcerrors.Unimplemented:      fairlead.Unsupported,
}

// convertWriteError converts the error of a write that was handed to the driver.
func convertWriteError(err error) error {
	var ours *fairlead.Error
	var givenUp errAbandoned
	switch {
	case err == nil:
		return nil
	case errors.As(err, &givenUp):
	case errors.As(err, &ours):
		return err
	}
	if code, ok := refusals[gcerrors.Code(err)]; ok {
		return fairlead.Errorf(code, "%w", err)
	}
	return fairlead.Errorf(fairlead.UnknownOutcome, "%w", err)
}
