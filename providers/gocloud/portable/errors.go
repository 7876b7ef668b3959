package portable

import (
	"errors"

	"gocloud.dev/gcerrors"

	"fairlead.dev"
)

// codes are those that have one of the same meaning in gocloud.dev. The code
// of every other error is Unknown: above all that of UnknownOutcome.
var codes = map[fairlead.Code]gcerrors.ErrorCode{
	fairlead.NotFound:         gcerrors.NotFound,
	fairlead.Conflict:         gcerrors.FailedPrecondition,
	fairlead.Unsupported:      gcerrors.Unimplemented,
	fairlead.Invalid:          gcerrors.InvalidArgument,
	fairlead.TooLarge:         gcerrors.InvalidArgument,
	fairlead.PermissionDenied: gcerrors.PermissionDenied,
	fairlead.DeadlineExceeded: gcerrors.DeadlineExceeded,
	fairlead.Canceled:         gcerrors.Canceled,
	fairlead.Closed:           gcerrors.FailedPrecondition,
	fairlead.Internal:         gcerrors.Internal,
}

// errorsOf answers gocloud.dev's questions about errors.
type errorsOf struct{}

func (errorsOf) ErrorCode(err error) gcerrors.ErrorCode {
	if err == nil {
		return gcerrors.OK
	}
	if c, ok := codes[fairlead.CodeOf(err)]; ok {
		return c
	}
	return gcerrors.Unknown
}

func (errorsOf) ErrorAs(err error, target any) bool {
	e, ok := target.(**fairlead.Error)
	return ok && errors.As(err, e)
}
