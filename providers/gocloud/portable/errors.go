package portable

import (
	"errors"

	"gocloud.dev/gcerrors"

	"fairlead.dev/providers"
)

// codes are those that have one of the same meaning in gocloud.dev. The code
// of every other error is Unknown: above all that of UnknownOutcome.
var codes = map[providers.Code]gcerrors.ErrorCode{
	providers.NotFound:         gcerrors.NotFound,
	providers.Conflict:         gcerrors.FailedPrecondition,
	providers.Unsupported:      gcerrors.Unimplemented,
	providers.Invalid:          gcerrors.InvalidArgument,
	providers.TooLarge:         gcerrors.InvalidArgument,
	providers.PermissionDenied: gcerrors.PermissionDenied,
	providers.DeadlineExceeded: gcerrors.DeadlineExceeded,
	providers.Canceled:         gcerrors.Canceled,
	providers.Closed:           gcerrors.FailedPrecondition,
	providers.Internal:         gcerrors.Internal,
}

// errorsOf answers gocloud.dev's questions about errors.
type errorsOf struct{}

func (errorsOf) ErrorCode(err error) gcerrors.ErrorCode {
	if err == nil {
		return gcerrors.OK
	}
	if c, ok := codes[providers.CodeOf(err)]; ok {
		return c
	}
	return gcerrors.Unknown
}

func (errorsOf) ErrorAs(err error, target any) bool {
	e, ok := target.(**providers.Error)
	return ok && errors.As(err, e)
}
