package memory

import (
	"context"

	"fairlead.dev/kv/driver"
)

// OpenStore implements the kv driver's Provider.
func (p *provider) OpenStore(ctx context.Context, c driver.StoreConfig) (driver.Store, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	life := p.life.Child("store")
	return &store{table: p.backend.tables.open(c.Name, life.Context()), life: life}, nil
}

// Stores implements the kv driver's Provider.
func (p *provider) Stores(ctx context.Context, prefix string) ([]string, error) {
	if err := p.life.Check(ctx); err != nil {
		return nil, err
	}
	return p.backend.tables.names(prefix), nil
}

// DeleteStore implements the kv driver's Provider. Open handles find the store
// empty, and their watchers see that its keys are deleted. A write through one of
// them creates the store again.
func (p *provider) DeleteStore(ctx context.Context, name string) error {
	if err := p.life.Check(ctx); err != nil {
		return err
	}
	p.backend.tables.delete(name)
	return nil
}
