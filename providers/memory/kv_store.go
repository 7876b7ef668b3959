package memory

import (
	"context"
	"time"

	"fairlead.dev/kv/driver"
	"fairlead.dev/providers"
)

// store is a handle of a table.
type store struct {
	table *table
	life  *providers.Lifetime
}

// Do implements the kv driver's Store.
func (s *store) Do(ctx context.Context, ops []driver.Op) []driver.Result {
	results := make([]driver.Result, len(ops))
	now, err := s.lockTable(ctx)
	if err != nil {
		for i := range results {
			results[i].Err = err
		}
		return results
	}
	defer s.table.mu.Unlock()
	for i, op := range ops {
		results[i] = s.table.execute(op, now)
	}
	return results
}

// Txn implements the kv driver's Store.
func (s *store) Txn(ctx context.Context, t driver.Txn) (driver.Revision, error) {
	now, err := s.lockTable(ctx)
	if err != nil {
		return "", err
	}
	defer s.table.mu.Unlock()
	return s.table.executeTxn(t, now)
}

// lockTable locks the table for a call and removes the keys that have expired.
// It returns the time of the call. After an error, the table is not locked.
func (s *store) lockTable(ctx context.Context) (now time.Time, err error) {
	if err := s.life.Check(ctx); err != nil {
		return time.Time{}, err
	}
	s.table.mu.Lock()
	now = time.Now()
	s.table.removeExpired(now)
	return now, nil
}

// Close implements the kv driver's Store.
func (s *store) Close(context.Context) error {
	s.life.End()
	return nil
}
