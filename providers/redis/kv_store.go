package redis

import (
	"context"
	"sync/atomic"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// store is a handle of a store.
type store struct {
	p    *provider
	life *providers.Lifetime
	name string
	keys storeKeys

	// knownRevision is a revision that the store is known to have reached.
	knownRevision atomic.Pointer[string]
}

// OpenStore implements the kv driver's Provider.
func (p *provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	s := &store{p: p, life: p.life.Child("store"), name: c.Name, keys: p.storeKeys(c.Name)}
	err := p.checkPermissions(ctx, fairlead.KV, s.keys.log)
	if err == nil {
		err = s.createIfMissing(ctx)
	}
	if err == nil {
		err = p.stores.Add(s)
	}
	if err != nil {
		s.life.End()
		return nil, err
	}
	return s, nil
}

// createIfMissing registers the store's name, and creates its log if there is
// none.
func (s *store) createIfMissing(ctx context.Context) error {
	if err := s.p.addName(ctx, s.p.storeNamesKey(), s.name); err != nil {
		return err
	}
	reply, err := s.p.query(ctx, s.keys.log, kvCreate.command(ctx, []string{s.keys.log}))
	if err != nil {
		return err
	}
	revision, ok := reply.(string)
	if !ok {
		return unexpectedReply(reply)
	}
	s.noteRevision(revision)
	return nil
}

// noteRevision remembers that the store has reached a revision.
func (s *store) noteRevision(revision string) { s.knownRevision.Store(&revision) }

// Close implements the kv driver's Store.
func (s *store) Close(context.Context) error {
	s.life.End()
	s.p.stores.Remove(s)
	return nil
}
