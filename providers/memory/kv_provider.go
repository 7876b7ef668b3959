package memory

import (
	"context"
	"strings"

	"fairlead.dev/kv/driver"
)

// OpenStore implements the kv driver's Provider.
func (p *provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	return &store{table: p.backend.findOrCreateTable(c.Name), life: p.life.Child("store")}, nil
}

func (b *backend) findOrCreateTable(name string) *table {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tables[name]
	if t == nil {
		t = newTable(b.historySize)
		b.tables[name] = t
	}
	return t
}

// Stores implements the kv driver's Provider.
func (p *provider) Stores(ctx context.Context, prefix string) ([]string, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	return namesWithPrefix(p.backend.tables, prefix), nil
}

func namesWithPrefix[T any](m map[string]T, prefix string) []string {
	var names []string
	for name := range m {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

// DeleteStore implements the kv driver's Provider. From then on, open handles
// and watchers fail: a write that they accepted would be lost.
func (p *provider) DeleteStore(ctx context.Context, name string) error {
	if err := p.life.Check(ctx); err != nil {
		return err
	}
	p.backend.deleteTable(name)
	return nil
}

// deleteTable removes a table, if it exists, and marks it deleted. It holds both
// locks, so that no write is accepted in between.
func (b *backend) deleteTable(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.tables[name]
	if t == nil {
		return
	}
	delete(b.tables, name)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.markDeleted()
}
