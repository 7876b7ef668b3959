package driver

import "context"

// Directory keeps, in the provider's own backend, which addresses serve a
// service. The calls do not pass through it: they are plain gRPC, from the
// client's process to the server's.
//
// A provider is a Directory if its description claims [ClaimDirectory], and a
// [Carrier] otherwise: the claim alone decides, since a provider that lives in
// another process has the methods of both.
//
// All methods may be called concurrently, but for Keep and Next, which one
// goroutine at a time calls.
//
// Errors: Unavailable, PermissionDenied, Canceled, DeadlineExceeded, Closed,
// Internal.
type Directory interface {
	// Register makes an endpoint known under a lease: from its return on,
	// every Next that begins shows it. Endpoints with the same address are
	// different registrations, and each has a lease of its own.
	Register(ctx context.Context, c RegisterConfig) (Registration, error)

	// WatchEndpoints opens a view of the endpoints of a service. It need not reach the
	// backend.
	WatchEndpoints(ctx context.Context, c WatchConfig) (EndpointWatcher, error)
}

// RegisterConfig says what to register.
type RegisterConfig struct {
	Service  string
	Endpoint Endpoint
}

// WatchConfig says what to watch.
type WatchConfig struct {
	Service string
}

// Endpoint is one place where a service is served.
type Endpoint struct {
	// Address is host:port, with an IPv6 address in brackets, or the absolute
	// path of a Unix socket after "unix:". It has at most MaxAddress bytes.
	Address string
}

// MaxAddress is the length of the longest address, in bytes.
const MaxAddress = 512

// Registration is an endpoint under a lease.
type Registration interface {
	// Keep renews the lease until its context ends. Without it the endpoint
	// vanishes within seconds, as it does when the process is killed. A
	// lease that the backend has lost is made anew. Keep fails with
	// Unavailable while the backend is away, and is then called again, and
	// with Closed after Close or that of the provider, for ever.
	Keep(ctx context.Context) error

	// Close removes the endpoint, at once. Calls after the first return nil.
	Close(ctx context.Context) error
}

// EndpointWatcher is a view of the endpoints of a service.
type EndpointWatcher interface {
	// Next returns all endpoints that are registered now, sorted by address
	// and each address once: the first time at once, and then when they
	// differ from those that it returned before. It fails with Unavailable
	// while the backend is away, and may be called again; what it returned
	// before is then still the best that is known. It fails with Closed after
	// Close or that of the provider, for ever.
	Next(ctx context.Context) ([]Endpoint, error)

	// Close releases the watcher; a Next that waits is answered with Closed.
	// Calls after the first return nil.
	Close(ctx context.Context) error
}
