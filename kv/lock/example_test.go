package lock_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"fairlead.dev"
	"fairlead.dev/kv"
	"fairlead.dev/kv/lock"
	_ "fairlead.dev/providers/memory"
)

func Example() {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	s, err := kv.Open(ctx, p, "locks")
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close(ctx)
	m, err := lock.New(s, "reports")
	if err != nil {
		log.Fatal(err)
	}
	lease, err := m.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	_, err = m.TryLock(ctx)
	fmt.Println(errors.Is(err, fairlead.Conflict))

	// The transaction fails once another lease has got its token.
	_, err = s.Txn(ctx, lease.Fence(), kv.ThenPut("report", []byte("done")))
	fmt.Println(lease.Token(), err)
	fmt.Println(lease.Release(ctx))
	// Output:
	// true
	// 1 <nil>
	// <nil>
}

func ExampleElection_Run() {
	ctx := context.Background()
	p, err := fairlead.Open(ctx, "mem://")
	if err != nil {
		log.Fatal(err)
	}
	defer p.Close(ctx)
	s, err := kv.Open(ctx, p, "elections")
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close(ctx)
	e, err := lock.NewElection(s, "scheduler")
	if err != nil {
		log.Fatal(err)
	}
	err = e.Run(ctx, []byte("10.0.0.1:80"), func(ctx context.Context, lease *lock.Lease) error {
		leader, err := e.Leader(ctx)
		fmt.Println(string(leader.Value), leader.Token == lease.Token(), err)
		return nil // the work is done; ctx ends earlier if the leadership is lost
	})
	fmt.Println(err)
	_, err = e.Leader(ctx)
	fmt.Println(err)
	// Output:
	// 10.0.0.1:80 true <nil>
	// <nil>
	// lock.Leader: not found: there is no leader
}
