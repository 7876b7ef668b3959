package providers_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// acmeServer stands for the backend and its client.
type acmeServer struct {
	mu     sync.Mutex
	values map[string]string
	writes int
	fsyncs bool
}

// acme is a provider of the kv facet, made of the kit.
type acme struct {
	*providers.Live
	server *acmeServer
	life   *providers.Lifetime
	stores providers.Handles[*acmeStore]
	calls  providers.Calls
}

func init() {
	providers.Register(providers.Scheme{
		Name:     "acme",
		Help:     "an example: acme://127.0.0.1:4000",
		Settings: []providers.Setting{{Name: "timeout", Kind: providers.Duration, Default: "5s", Help: "longest wait for an answer"}},
		Open:     openAcme,
	})
}

func openAcme(ctx context.Context, s providers.Settings) (fairlead.Provider, error) {
	if len(s.Hosts("4000")) == 0 {
		return nil, fairlead.Errorf(fairlead.Invalid, "the URL names no host; for example acme://127.0.0.1:4000")
	}
	p := &acme{server: &acmeServer{values: map[string]string{}}, life: providers.NewLifetime("provider")}
	p.calls = providers.Calls{Life: p.life, Timeout: s.Duration("timeout"), Setting: "timeout", MapError: mapAcmeError}
	probe := providers.DescribeState(p.probe, describeAcme)
	d, err := probe(ctx)
	if err != nil {
		return nil, providers.AddEndpoint(err, s.URL.Host)
	}
	p.Live = providers.NewLive(d)
	p.life.Go(func() {
		p.Keep(p.life.Context(), providers.Probing{Probe: probe, Every: time.Second, Timeout: time.Second, Logger: s.Logger})
	})
	return p, nil
}

// mapAcmeError gives the client's errors codes. A write without an answer was not
// applied if it was not sent, and has an unknown outcome if it was.
func mapAcmeError(err error, sent bool) error {
	switch {
	case fairlead.CodeOf(err) != fairlead.Internal:
		return err // it has a code, or there is none
	case sent:
		return fairlead.Errorf(fairlead.UnknownOutcome, "no answer to the write: %w", err)
	default:
		return fairlead.Errorf(fairlead.Unavailable, "%w", err)
	}
}

// probe asks the backend whether it calls fsync.
func (p *acme) probe(ctx context.Context) (fsyncs bool, err error) {
	err = p.calls.Read(ctx, func(context.Context) error { fsyncs = p.server.fsyncs; return nil })
	return fsyncs, err
}

func describeAcme(fsyncs bool) fairlead.Description {
	f := fairlead.FacetDescription{Facet: fairlead.KV, Limits: fairlead.Limits{MaxKeyBytes: 256, MaxValueBytes: 1 << 20, MaxBatch: 100}}
	var lacks []providers.Lack
	if !fsyncs {
		lacks = append(lacks, providers.Lack{Reason: "the server runs without --fsync", Remedy: "start it with --fsync"})
	}
	providers.SettleClaim(&f, fairlead.DurableFsync, lacks)
	return fairlead.Description{Provider: "acme", Facets: []fairlead.FacetDescription{f}}
}

// Close closes the open handles, ends the calls under way, and waits for them.
func (p *acme) Close(ctx context.Context) error {
	if !p.Shut() {
		return nil
	}
	err := p.stores.CloseAll(ctx)
	p.life.Drain()
	return err
}

// acmeStore is a handle of a store.
type acmeStore struct {
	*acme
	name string
	life *providers.Lifetime
}

func (p *acme) OpenStore(_ context.Context, c driver.StoreConfig) (driver.Store, error) {
	s := &acmeStore{acme: p, name: c.Name, life: p.life.Child("store")}
	return s, p.stores.Add(s)
}

func (s *acmeStore) Close(context.Context) error {
	if s.life.End() {
		s.stores.Remove(s)
	}
	return nil
}

func (s *acmeStore) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	results := make([]driver.Result, len(ops))
	for i, op := range ops {
		if results[i].Err = s.life.Check(ctx); results[i].Err == nil {
			results[i] = s.apply(ctx, op)
		}
	}
	return results
}

func (s *acmeStore) apply(ctx context.Context, op driver.Op) (r driver.Result) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	switch op.Kind {
	case driver.OpGet:
		r.Err = s.calls.Read(ctx, func(context.Context) error {
			value, ok := s.server.values[s.name+"/"+op.Key]
			if !ok {
				return fairlead.Errorf(fairlead.NotFound, "the key does not exist")
			}
			r.Value, r.Revision = []byte(value), "1"
			return nil
		})
	case driver.OpPut:
		r.Err = s.calls.Write(ctx, func(ctx context.Context) error {
			providers.MarkSent(ctx) // the client is about to write to its connection
			s.server.writes++
			s.server.values[s.name+"/"+op.Key], r.Revision = string(op.Value), driver.Revision(fmt.Sprint(s.server.writes))
			return nil
		})
	default:
		r.Err = fairlead.Errorf(fairlead.Unsupported, "the operation is not claimed")
	}
	return r
}

// Operations that are not claimed are refused.

var errUnclaimed = fairlead.Errorf(fairlead.Unsupported, "the ability is not claimed")

func (p *acme) Stores(context.Context, string) ([]string, error)            { return nil, errUnclaimed }
func (p *acme) DeleteStore(context.Context, string) error                   { return errUnclaimed }
func (*acmeStore) Txn(context.Context, driver.Txn) (driver.Revision, error) { return "", errUnclaimed }
func (*acmeStore) List(context.Context, driver.ListRequest) (driver.Page, error) {
	return driver.Page{}, errUnclaimed
}
func (*acmeStore) Watch(context.Context, driver.WatchRequest) (driver.Watcher, error) {
	return nil, errUnclaimed
}

// A provider of the kv facet that is made of the kit, and a program that uses it.
func Example_provider() {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "acme://127.0.0.1:4000")
	if err != nil {
		log.Fatal(err)
	}
	s, err := kv.Open(ctx, p, "orders")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := s.Put(ctx, "42", []byte("paid")); err != nil {
		log.Fatal(err)
	}
	e, err := s.Get(ctx, "42")
	fmt.Println(string(e.Value), err)

	_, err = kv.Open(ctx, p, "ledger", kv.Require(fairlead.DurableFsync))
	fmt.Println(err)

	fmt.Println(p.Close(ctx))
	_, err = s.Get(ctx, "42")
	fmt.Println(fairlead.CodeOf(err))
	// Output:
	// paid <nil>
	// kv.Open: acme: unsupported: store "ledger": required of kv but missing: DurableFsync: the server runs without --fsync; start it with --fsync
	// <nil>
	// closed
}
