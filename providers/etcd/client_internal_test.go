package etcd

import (
	"context"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"fairlead.dev"
)

// late is a context that does not know yet that its deadline has passed.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

// TestStreamEnded shows that a caller that waits on a watch gets Canceled only if
// it canceled. A server whose clock is slightly ahead reports a cancellation when a
// deadline has passed.
func TestStreamEnded(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	soon, stop := context.WithTimeout(t.Context(), time.Hour)
	defer stop()
	deadline := status.Error(codes.DeadlineExceeded, "context deadline exceeded")
	for name, test := range map[string]struct {
		ctx  context.Context
		err  error
		want fairlead.Code
	}{
		"no error":                         {t.Context(), nil, 0},
		"canceled, by the caller":          {ended, rpctypes.ErrGRPCWatchCanceled, fairlead.Canceled},
		"anything, after the caller ended": {ended, rpctypes.ErrGRPCNoLeader, fairlead.Canceled},
		"canceled, at the deadline":        {late{t.Context()}, rpctypes.ErrGRPCWatchCanceled, fairlead.DeadlineExceeded},
		"late, at the deadline":            {late{t.Context()}, deadline, fairlead.DeadlineExceeded},
		"canceled, by the server":          {t.Context(), rpctypes.ErrGRPCWatchCanceled, fairlead.Unavailable},
		"canceled, long before":            {soon, rpctypes.ErrGRPCWatchCanceled, fairlead.Unavailable},
		"late, by the server":              {t.Context(), deadline, fairlead.Unavailable},
		"refused":                          {soon, rpctypes.ErrGRPCPermissionDenied, fairlead.PermissionDenied},
	} {
		if got := streamEnded(test.ctx, test.err); fairlead.CodeOf(got) != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
