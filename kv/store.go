package kv

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"fairlead.dev"
	"fairlead.dev/internal/batcher"
	"fairlead.dev/internal/handle"
	"fairlead.dev/internal/telemetry"
	"fairlead.dev/kv/driver"
)

// Store is a named key-value store of a provider.
type Store struct {
	handle  *handle.Handle
	driver  driver.Store
	group   *batcher.Batcher[driver.Op, driver.Result]
	ops     operations
	life    context.Context // ends with Close
	end     context.CancelFunc
	closing atomic.Bool
}

// Option changes how [Open] opens a store.
type Option func(*options) error

type options struct{ require []fairlead.Requirement }

// Require makes Open fail with ErrUnsupported unless all of these hold, and
// every later call while one of them does not.
func Require(reqs ...fairlead.Requirement) Option {
	return func(o *options) error {
		if slices.Contains(reqs, nil) {
			return fairlead.Errorf(fairlead.Invalid, "Require needs claims, got nil; pass constants such as kv.CAS")
		}
		o.require = append(o.require, reqs...)
		return nil
	}
}

// Open returns the store of that name, and creates it if need be. Stores of a
// provider are separate. A name has 1 to 128 of the characters A–Z a–z 0–9 . _
// - and starts with a letter or digit.
//
// Errors: Unsupported if the provider has no kv facet, or if a requirement is
// not met; it names all that are missing, with the reasons.
func Open(ctx context.Context, p fairlead.Provider, name string, opts ...Option) (*Store, error) {
	s, err := open(ctx, p, name, opts)
	return s, fairlead.Annotate(err, "kv.Open", "")
}

func open(ctx context.Context, p fairlead.Provider, name string, opts []Option) (*Store, error) {
	var o options
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	if err := handle.CheckName("store", name); err != nil {
		return nil, err
	}
	h, err := handle.Open(ctx, p, fairlead.KV, o.require)
	if err != nil {
		return nil, err
	}
	d, err := openDriver(ctx, p, name)
	if err != nil {
		h.Close()
		return nil, fairlead.Annotate(err, "", h.Provider)
	}
	s := &Store{handle: h, driver: d, ops: newOperations(h, name)}
	s.group = batcher.New(h.Facet.Limits, driver.Op.Size, d.Do)
	s.life, s.end = context.WithCancel(context.Background())
	return s, nil
}

func openDriver(ctx context.Context, p fairlead.Provider, name string) (driver.Store, error) {
	dp, err := provider(p)
	if err != nil {
		return nil, err
	}
	return dp.OpenStore(ctx, driver.StoreConfig{Name: name})
}

func provider(p fairlead.Provider) (driver.Provider, error) {
	dp, ok := p.(driver.Provider)
	if !ok {
		return nil, fairlead.Errorf(fairlead.Internal, "the provider describes the kv facet and does not implement it")
	}
	return dp, nil
}

// Describe returns what holds for this store, as found when it was opened.
func (s *Store) Describe() fairlead.FacetDescription {
	d := s.handle.Facet
	d.Claims, d.Missing = slices.Clone(d.Claims), slices.Clone(d.Missing)
	return d
}

// Close waits for calls under way until the context ends, and releases the
// handle and its watchers. The data stays. Calls after the first return nil.
func (s *Store) Close(ctx context.Context) error {
	if !s.closing.CompareAndSwap(false, true) {
		return nil
	}
	s.end()
	s.handle.Close()
	err := errors.Join(s.group.Close(ctx), s.driver.Close(ctx))
	return fairlead.Annotate(err, "kv.Close", s.handle.Provider)
}

// ready returns why no call may go on: the store is closed, or a requirement
// was lost.
func (s *Store) ready() error {
	if s.life.Err() != nil {
		return fairlead.Errorf(fairlead.Closed, "the store is closed")
	}
	return s.handle.Ready()
}

// operations holds the prebuilt telemetry of every method.
type operations struct {
	get, getMany, put, create, cas, del, deleteIf, list, watch, txn *telemetry.Operation
}

func newOperations(h *handle.Handle, store string) operations {
	t := telemetry.New("fairlead.dev/kv", "db.client.operation.duration", h.Provider)
	op := func(method, name string) *telemetry.Operation {
		return t.Operation("kv."+method, name+" "+store, trace.SpanKindClient,
			attribute.String("db.system.name", h.System),
			attribute.String("db.operation.name", name),
			attribute.String("db.collection.name", store))
	}
	return operations{
		get: op("Get", "get"), getMany: op("GetMany", "get_many"),
		put: op("Put", "put"), create: op("Create", "create"), cas: op("CAS", "cas"),
		del: op("Delete", "delete"), deleteIf: op("DeleteIf", "delete_if"),
		list: op("List", "list"), watch: op("Watch", "watch"), txn: op("Txn", "txn"),
	}
}

// Stores returns the names of the stores of a provider that start with
// prefix, in order. It needs the claim [Manage].
func Stores(ctx context.Context, p fairlead.Provider, prefix string) ([]string, error) {
	dp, err := manage(ctx, p)
	if err != nil {
		return nil, fairlead.Annotate(err, "kv.Stores", "")
	}
	names, err := dp.Stores(ctx, prefix)
	slices.Sort(names)
	return names, fairlead.Annotate(err, "kv.Stores", "")
}

// DeleteStore removes a store with all that it holds; one that does not exist
// is no error. Handles of it that are open fail, or find it empty. It needs
// the claim [Manage].
func DeleteStore(ctx context.Context, p fairlead.Provider, name string) error {
	dp, err := manage(ctx, p)
	if err == nil {
		err = handle.CheckName("store", name)
	}
	if err == nil {
		err = dp.DeleteStore(ctx, name)
	}
	return fairlead.Annotate(err, "kv.DeleteStore", "")
}

func manage(ctx context.Context, p fairlead.Provider) (driver.Provider, error) {
	h, err := handle.Open(ctx, p, fairlead.KV, nil)
	if err != nil {
		return nil, err
	}
	if err := h.Needs(Manage); err != nil {
		return nil, err
	}
	return provider(p)
}
