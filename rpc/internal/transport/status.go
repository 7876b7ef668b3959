package transport

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"fairlead.dev"
)

var statusCodes = map[fairlead.Code]codes.Code{
	fairlead.Unavailable:      codes.Unavailable,
	fairlead.Closed:           codes.Unavailable,
	fairlead.NotFound:         codes.Unavailable, // there is no server
	fairlead.Unsupported:      codes.FailedPrecondition,
	fairlead.Invalid:          codes.InvalidArgument,
	fairlead.TooLarge:         codes.ResourceExhausted,
	fairlead.PermissionDenied: codes.PermissionDenied,
	fairlead.DeadlineExceeded: codes.DeadlineExceeded,
	fairlead.Canceled:         codes.Canceled,
	fairlead.Internal:         codes.Internal,
}

// StatusError returns the status error for an error of a driver or of a context.
// It returns an error that is a status already as it is.
func StatusError(err error) error {
	var e *fairlead.Error
	if !errors.As(err, &e) {
		if _, ok := status.FromError(err); ok {
			return err
		}
	}
	code, ok := statusCodes[fairlead.CodeOf(err)]
	if !ok {
		code = codes.Unknown
	}
	return status.Error(code, err.Error())
}
