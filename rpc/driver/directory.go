package driver

import "context"

// Directory keeps the addresses of the servers of a service in the provider's own
// backend. Calls do not pass through it: they are plain gRPC, from the client's
// process to the server's.
//
// A provider is a Directory if its description claims [ClaimDirectory], and a
// [Carrier] otherwise. Only the claim decides, because a provider in another
// process has the methods of both.
//
// All methods may be called concurrently, except Keep and Next, which one
// goroutine at a time calls.
//
// Errors: Unavailable, PermissionDenied, Canceled, DeadlineExceeded, Closed,
// Internal.
type Directory interface {
	// Register makes an endpoint known under a lease: every Next that begins
	// after its return shows the endpoint. Endpoints with the same address are
	// different registrations, and each has a lease of its own.
	Register(ctx context.Context, c RegisterConfig) (Registration, error)

	// WatchEndpoints opens a view of the endpoints of a service. It need not
	// reach the backend.
	WatchEndpoints(ctx context.Context, c WatchConfig) (EndpointWatcher, error)
}

// RegisterConfig is the argument of Register.
type RegisterConfig struct {
	Service  string
	Endpoint Endpoint
}

// WatchConfig is the argument of WatchEndpoints.
type WatchConfig struct {
	Service string
}

// Endpoint is one place where a service is served.
type Endpoint struct {
	// Address is host:port, with an IPv6 address in brackets, or "unix:" and the
	// absolute path of a Unix socket. It has at most MaxAddress bytes.
	Address string
}

// MaxAddress is the length of the longest address, in bytes.
const MaxAddress = 512

// Registration is an endpoint under a lease.
type Registration interface {
	// Keep renews the lease until its context ends. Without Keep the endpoint
	// vanishes within seconds, as it does when the process is killed. Keep makes
	// a new lease if the backend has lost the old one. It fails with Unavailable
	// while the backend is unavailable, and the caller then calls it again. It
	// fails with Closed from the close of the registration or the provider on.
	Keep(ctx context.Context) error

	// Close removes the endpoint, at once. Calls after the first one return nil.
	Close(ctx context.Context) error
}

// EndpointWatcher is a view of the endpoints of a service.
type EndpointWatcher interface {
	// Next returns all endpoints that are registered now, sorted by address and
	// each address once. The first call returns at once; later ones return when
	// the endpoints differ from the ones that were returned before. Next fails
	// with Unavailable while the backend is unavailable, and may be called again;
	// the endpoints that it returned before are then still the best known ones.
	// It fails with Closed from the close of the watcher or the provider on, and
	// with the context's error if the context has ended already, also if the
	// endpoints have changed.
	Next(ctx context.Context) ([]Endpoint, error)

	// Close releases the watcher. A Next that waits returns Closed. Calls after
	// the first one return nil.
	Close(ctx context.Context) error
}
