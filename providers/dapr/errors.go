package dapr

import (
	"context"
	"errors"
	"regexp"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"fairlead.dev"
)

// refusals are status codes that the sidecar returns before it calls a
// component: nothing was applied.
var refusals = map[codes.Code]struct {
	code fairlead.Code
	help string
}{
	codes.Unauthenticated:   {fairlead.PermissionDenied, "the sidecar refuses the API token; give the token in the URL as :TOKEN@, or with the setting \"password-env\" or \"password-file\""},
	codes.PermissionDenied:  {fairlead.PermissionDenied, "the sidecar refuses the operation"},
	codes.InvalidArgument:   {fairlead.Invalid, "the sidecar refuses the request"},
	codes.ResourceExhausted: {fairlead.TooLarge, "the request is larger than the sidecar's --max-body-size; set \"max-body-bytes\" to the same value"},
	codes.Unimplemented:     {fairlead.Internal, "the sidecar does not know the call: it is not a Dapr runtime, or an older one"},
}

// convertError returns err as an error with a code. sent says whether a write
// may have reached the sidecar. Then the outcome is unknown if the answer is
// missing. It is also unknown after every error of a component, since a
// component may have tried the write more than once. For a read, sent is false.
func convertError(err error, sent bool) error {
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
	if saysFull(err.Error()) {
		return fairlead.Errorf(fairlead.Unavailable, "the backend of the sidecar's component is full; give it more memory (maxmemory of a Redis) or disk, or delete data in it: %w", err)
	}
	if sent {
		return fairlead.Errorf(fairlead.UnknownOutcome, "the sidecar did not confirm the write: %w", err)
	}
	return convertUnsentError(err, code)
}

// fullPattern matches the answers of backends that have no space left. They have
// refused the write: Redis at its maxmemory, etcd above its quota, a full disk.
var fullPattern = regexp.MustCompile(`OOM command not allowed|database space exceeded|(?i:no space left on device)`)

// saysFull reports whether the text of a component's error says that its backend is
// full.
func saysFull(text string) bool { return fullPattern.MatchString(text) }

// isFull reports whether a write was refused because the backend is full.
func isFull(err error) bool {
	return fairlead.CodeOf(err) == fairlead.Unavailable && saysFull(err.Error())
}

// convertUnsentError converts the error of a call that had no effect.
func convertUnsentError(err error, code codes.Code) error {
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
		return fairlead.Errorf(fairlead.Internal, "unexpected response from the sidecar: %w", err)
	}
}
