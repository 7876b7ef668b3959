package fairlead

import "context"

// Provider is one connection to one backend. It also implements the Provider
// interface of the driver package of each facet that it describes. The
// description decides: a type assertion by itself is never trusted.
//
// All methods may be called concurrently.
type Provider interface {
	// Describe returns what holds on the live backend. It answers from what
	// the provider last probed; a provider probes when it opens, whenever it
	// has a new connection, and often enough that a change of the backend's
	// settings is noticed within seconds.
	Describe(ctx context.Context) (Description, error)

	// Await blocks until the description's generation differs from the one
	// given, and returns that description. It returns a Closed error when the
	// provider is closed, and the context's error when that ends first.
	Await(ctx context.Context, generation uint64) (Description, error)

	// Close releases everything that the provider holds: connections,
	// goroutines, processes. Everything that was opened from it fails with Closed
	// afterwards. Calls after the first return nil.
	Close(ctx context.Context) error
}

// As sets target, a non-nil pointer, to the vendor's own client if p has one
// of that type, and reports whether it did. Each provider's doc lists the
// types. It is false for a provider that lives in another process.
func As(p Provider, target any) bool {
	a, ok := p.(interface{ As(target any) bool })
	return ok && a.As(target)
}
