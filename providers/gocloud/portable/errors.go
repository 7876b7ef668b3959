package portable

import (
	"errors"

	"gocloud.dev/gcerrors"

	"fairlead.dev"
)

// codes are the codes that have an equivalent in gocloud.dev. All others are
// Unknown, in particular UnknownOutcome.
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

// errorConverter implements the methods of a driver of gocloud.dev that convert
// errors.
type errorConverter struct{}

func (errorConverter) ErrorCode(err error) gcerrors.ErrorCode {
	if err == nil {
		return gcerrors.OK
	}
	if c, ok := codes[fairlead.CodeOf(err)]; ok {
		return c
	}
	return gcerrors.Unknown
}

func (errorConverter) ErrorAs(err error, target any) bool {
	e, ok := target.(**fairlead.Error)
	return ok && errors.As(err, e)
}
