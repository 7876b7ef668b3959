package dapr

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"fairlead.dev"
)

// TestSubscribeError shows that a consumer whose sidecar hangs does not get Canceled,
// since it did not cancel its call.
func TestSubscribeError(t *testing.T) {
	for err, want := range map[error]fairlead.Code{
		context.Canceled:                         fairlead.Unavailable,
		status.Error(codes.Canceled, "ended"):    fairlead.Unavailable,
		status.Error(codes.DeadlineExceeded, ""): fairlead.Unavailable,
		status.Error(codes.Unavailable, "gone"):  fairlead.Unavailable,
		status.Error(codes.Unauthenticated, "?"): fairlead.PermissionDenied,
	} {
		if got := subscribeError(err); fairlead.CodeOf(got) != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
