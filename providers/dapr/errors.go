package dapr

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"fairlead.dev"
)

var errClosed = fairlead.Errorf(fairlead.Closed, "the provider is closed")

// refusals are answers that come before a component is called: nothing was
// applied.
var refusals = map[codes.Code]struct {
	code fairlead.Code
	help string
}{
	codes.Unauthenticated:   {fairlead.PermissionDenied, "the sidecar refuses the API token; give it in the URL as :TOKEN@, or by \"password-env\" or \"password-file\""},
	codes.PermissionDenied:  {fairlead.PermissionDenied, "the sidecar refuses the operation"},
	codes.InvalidArgument:   {fairlead.Invalid, "the sidecar refuses the request"},
	codes.ResourceExhausted: {fairlead.TooLarge, "the request is larger than the sidecar's --max-body-size; give the same to \"max-body-bytes\""},
	codes.Unimplemented:     {fairlead.Internal, "the sidecar does not know the call: it is no Dapr runtime, or an older one"},
}

// mapErr returns err as an error with a code. sent says whether a write may
// have reached the sidecar: then a missing answer is an unknown outcome, and so
// is whatever a component says, since a component may have tried the write more
// than once. A read has sent == false always.
func mapErr(err error, sent bool) error {
	var ours *fairlead.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours):
		return err
	}
	code := status.Code(err)
	if r, ok := refusals[code]; ok {
		return fairlead.Errorf(r.code, "%s: %w", r.help, err)
	}
	if sent {
		return fairlead.Errorf(fairlead.UnknownOutcome, "the sidecar did not confirm the write: %w", err)
	}
	return mapUnsent(err, code)
}

// mapUnsent is for what had no effect.
func mapUnsent(err error, code codes.Code) error {
	switch {
	case errors.Is(err, context.Canceled), code == codes.Canceled:
		return fairlead.Errorf(fairlead.Canceled, "%w", err)
	case errors.Is(err, context.DeadlineExceeded), code == codes.DeadlineExceeded:
		return fairlead.Errorf(fairlead.DeadlineExceeded, "%w", err)
	case code == codes.Unavailable:
		return fairlead.Errorf(fairlead.Unavailable, "the sidecar did not answer: %w", err)
	case code == codes.Internal, code == codes.Unknown, code == codes.FailedPrecondition:
		return fairlead.Errorf(fairlead.Unavailable, "the sidecar's component failed: %w", err)
	default:
		return fairlead.Errorf(fairlead.Internal, "unexpected answer of the sidecar: %w", err)
	}
}
