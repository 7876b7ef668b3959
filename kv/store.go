package kv

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"fairlead.dev"
	"fairlead.dev/internal/batcher"
	"fairlead.dev/internal/handle"
	"fairlead.dev/kv/driver"
)

// Store is an opened key-value store of a provider.
type Store struct {
	handle    *handle.Handle
	object    string // for errors: the store's name
	driver    driver.Store
	batcher   *batcher.Batcher[driver.Op, driver.Result]
	telemetry storeTelemetry
	life      context.Context // ends with Close
	endLife   context.CancelFunc
	closing   atomic.Bool
}

// Open returns the store of that name, and creates it if it does not exist.
// The stores of a provider are separate. A name has 1 to 128 of the characters
// A–Z a–z 0–9 . _ - and starts with a letter or digit.
//
// Errors: Unsupported if the provider has no kv facet, or if a requirement
// does not hold; the error names all that are missing, with the reasons.
func Open(ctx context.Context, p fairlead.Provider, name string, opts ...Option) (*Store, error) {
	s, err := openStore(ctx, p, name, opts)
	return s, handle.Annotate(err, "kv.Open", "", objectOf(name), "")
}

func openStore(ctx context.Context, p fairlead.Provider, name string, opts []Option) (*Store, error) {
	o, err := resolveOpenOptions(opts)
	if err != nil {
		return nil, err
	}
	if err := handle.ValidateName("store", name); err != nil {
		return nil, err
	}
	h, err := handle.Open(ctx, p, fairlead.KV, o.require)
	if err != nil {
		return nil, err
	}
	d, err := openDriverStore(ctx, p, name)
	if err != nil {
		h.Close()
		return nil, fairlead.Annotate(err, "", h.Provider)
	}
	s := &Store{handle: h, object: objectOf(name), driver: d, telemetry: newStoreTelemetry(h, name)}
	s.batcher = batcher.New(h.Facet.Limits, driver.Op.Size, d.Do)
	s.life, s.endLife = context.WithCancel(context.Background())
	return s, nil
}

func openDriverStore(ctx context.Context, p fairlead.Provider, name string) (driver.Store, error) {
	dp, err := driverProvider(p)
	if err != nil {
		return nil, err
	}
	return dp.OpenStore(ctx, driver.StoreConfig{Name: name})
}

func driverProvider(p fairlead.Provider) (driver.Provider, error) {
	dp, ok := p.(driver.Provider)
	if !ok {
		return nil, fairlead.Errorf(fairlead.Internal, "the provider describes the kv facet and does not implement it")
	}
	return dp, nil
}

// Describe returns what held for this store when it was opened.
func (s *Store) Describe() fairlead.FacetDescription {
	d := s.handle.Facet
	d.Claims, d.Missing = slices.Clone(d.Claims), slices.Clone(d.Missing)
	return d
}

// Close waits until the calls under way have ended or the context ends, and
// releases the handle and its watchers. The data stays. Calls after the first
// return nil.
func (s *Store) Close(ctx context.Context) error {
	if !s.closing.CompareAndSwap(false, true) {
		return nil
	}
	s.endLife()
	s.handle.Close()
	err := errors.Join(s.batcher.Close(ctx), s.driver.Close(ctx))
	return handle.Annotate(err, "kv.Close", s.handle.Provider, s.object, "")
}

// Context returns a context that ends when the store is closed.
func (s *Store) Context() context.Context { return s.life }

// checkUsable returns an error if the store is closed or a requirement is
// lost.
func (s *Store) checkUsable() error {
	if s.life.Err() != nil {
		return fairlead.Errorf(fairlead.Closed, "the store is closed")
	}
	return s.handle.Requirements.Check()
}
