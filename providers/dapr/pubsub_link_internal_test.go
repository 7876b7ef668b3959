package dapr

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"fairlead.dev/providers"
)

// TestNotLinked shows that a consumer whose sidecar hangs is not told that it
// canceled its own call.
func TestNotLinked(t *testing.T) {
	for err, want := range map[error]providers.Code{
		context.Canceled:                         providers.Unavailable,
		status.Error(codes.Canceled, "ended"):    providers.Unavailable,
		status.Error(codes.DeadlineExceeded, ""): providers.Unavailable,
		status.Error(codes.Unavailable, "gone"):  providers.Unavailable,
		status.Error(codes.Unauthenticated, "?"): providers.PermissionDenied,
	} {
		if got := notLinked(err); providers.CodeOf(got) != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
