package rpc_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/rpc"
	"fairlead.dev/rpc/driver"
)

// passing are the errors of a driver that end no server.
var passing = []fairlead.Code{
	fairlead.Unavailable, fairlead.Internal, fairlead.TooLarge, fairlead.NotFound, fairlead.Conflict,
	fairlead.Canceled, fairlead.DeadlineExceeded,
}

// failingCarrier is a carrier whose listeners fail once with each code before they
// accept a call.
type failingCarrier struct {
	fairlead.Provider
	driver.Carrier
	codes []fairlead.Code
}

func (c failingCarrier) Listen(ctx context.Context, cfg driver.ListenConfig) (driver.Listener, error) {
	l, err := c.Carrier.Listen(ctx, cfg)
	return &failingListener{Listener: l, codes: c.codes}, err
}

type failingListener struct {
	driver.Listener
	codes []fairlead.Code // one goroutine at a time calls Accept
}

func (l *failingListener) Accept(ctx context.Context) (driver.Incoming, error) {
	if len(l.codes) == 0 {
		return l.Listener.Accept(ctx)
	}
	code := l.codes[0]
	l.codes = l.codes[1:]
	return driver.Incoming{}, fairlead.Errorf(code, "for a moment")
}

// failingDirectory is a directory whose registrations fail once with each code
// before they are kept.
type failingDirectory struct {
	fairlead.Provider
	driver.Directory
	codes []fairlead.Code
	kept  *atomic.Bool
}

func (d failingDirectory) Register(ctx context.Context, c driver.RegisterConfig) (driver.Registration, error) {
	r, err := d.Directory.Register(ctx, c)
	return &failingRegistration{Registration: r, codes: d.codes, kept: d.kept}, err
}

type failingRegistration struct {
	driver.Registration
	codes []fairlead.Code
	kept  *atomic.Bool
}

func (r *failingRegistration) Keep(ctx context.Context) error {
	if len(r.codes) == 0 {
		r.kept.Store(true)
		return r.Registration.Keep(ctx)
	}
	code := r.codes[0]
	r.codes = r.codes[1:]
	return fairlead.Errorf(code, "for a moment")
}

// TestServerOutlivesPassingErrors: an error of the backend that may pass ends no
// server.
func TestServerOutlivesPassingErrors(t *testing.T) {
	for _, code := range passing {
		t.Run("carrier "+code.String(), func(t *testing.T) {
			t.Parallel()
			p := open(t, "mem://")
			failing := failingCarrier{p, p.(driver.Carrier), []fairlead.Code{code}}
			serve(t, failing, "test", &service{unary: echo})
			awaitCode(t, pb.NewTestServiceClient(dial(t, failing, "test")), codes.OK)
		})
		t.Run("directory "+code.String(), func(t *testing.T) {
			t.Parallel()
			p, kept := open(t, directoryURL), &atomic.Bool{}
			failing := failingDirectory{p, p.(driver.Directory), []fairlead.Code{code}, kept}
			serve(t, failing, "test", &service{unary: echo})
			check.Eventually(t, "the registration is kept", kept.Load)
			awaitCode(t, pb.NewTestServiceClient(dial(t, failing, "test")), codes.OK)
		})
	}
}

// TestServerEndsWithItsDriver: what no later attempt can change ends the server with
// that error.
func TestServerEndsWithItsDriver(t *testing.T) {
	for _, code := range []fairlead.Code{fairlead.Closed, fairlead.Invalid, fairlead.Unsupported, fairlead.PermissionDenied} {
		p, d := open(t, "mem://"), open(t, directoryURL)
		for _, failing := range []fairlead.Provider{
			failingCarrier{p, p.(driver.Carrier), []fairlead.Code{code}},
			failingDirectory{d, d.(driver.Directory), []fairlead.Code{code}, &atomic.Bool{}},
		} {
			srv, err := rpc.NewServer(t.Context(), failing, "test")
			check.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			check.Code(t, srv.Serve(ctx), code)
			cancel()
		}
	}
}
