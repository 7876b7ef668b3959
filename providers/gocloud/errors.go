package gocloud

import (
	"context"
	"errors"

	"gocloud.dev/gcerrors"

	"fairlead.dev/providers"
)

var readCodes = map[gcerrors.ErrorCode]providers.Code{
	gcerrors.NotFound:           providers.NotFound,
	gcerrors.InvalidArgument:    providers.Invalid,
	gcerrors.PermissionDenied:   providers.PermissionDenied,
	gcerrors.DeadlineExceeded:   providers.DeadlineExceeded,
	gcerrors.Canceled:           providers.Canceled,
	gcerrors.Unimplemented:      providers.Unsupported,
	gcerrors.Internal:           providers.Internal,
	gcerrors.FailedPrecondition: providers.Conflict,
	gcerrors.AlreadyExists:      providers.Conflict,
}

// failed is the error of a read, or of a call that only looked. What
// gocloud.dev does not classify is most often a lost connection.
func failed(err error) error {
	var ours *providers.Error
	if err == nil || errors.As(err, &ours) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return providers.Errorf(providers.CodeOf(err), "%w", err)
	}
	code, known := readCodes[gcerrors.Code(err)]
	if !known {
		code = providers.Unavailable
	}
	return providers.Errorf(code, "%w", err)
}

// refusals are the codes that a backend gives when it refused a write. All
// others leave open whether it was applied.
var refusals = map[gcerrors.ErrorCode]providers.Code{
	gcerrors.NotFound:           providers.NotFound,
	gcerrors.AlreadyExists:      providers.Conflict,
	gcerrors.FailedPrecondition: providers.Conflict,
	gcerrors.InvalidArgument:    providers.Invalid,
	gcerrors.PermissionDenied:   providers.PermissionDenied,
	gcerrors.Unimplemented:      providers.Unsupported,
}

// writeFailed is the error of a write that was handed over.
func writeFailed(err error) error {
	var ours *providers.Error
	var givenUp errGivenUp
	switch {
	case err == nil:
		return nil
	case errors.As(err, &givenUp):
	case errors.As(err, &ours):
		return err
	}
	if code, ok := refusals[gcerrors.Code(err)]; ok {
		return providers.Errorf(code, "%w", err)
	}
	return providers.Errorf(providers.UnknownOutcome, "%w", err)
}
