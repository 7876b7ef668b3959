package testbed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// startRedisServers starts n servers at the same time, each with the options
// that optionsOf returns. If one fails, all are closed.
func startRedisServers(ctx context.Context, n int, optionsOf func(i int) []RedisOption) ([]*RedisServer, error) {
	servers, errs := make([]*RedisServer, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { servers[i], errs[i] = StartRedis(ctx, optionsOf(i)...) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, closeAll(servers))
	}
	return servers, nil
}

// server is the interface that groups need of a server.
type server interface {
	comparable
	Addr() string
	Running() bool
	Log() string
	Close() error
}

// closeAll closes the servers that are not nil.
func closeAll[S server](servers []S) error {
	return atOnce(servers, func(s S) error {
		var none S
		if s == none {
			return nil
		}
		return s.Close()
	})
}

func addrs[S server](servers []S) []string {
	out := make([]string, len(servers))
	for i, s := range servers {
		out[i] = s.Addr()
	}
	return out
}

// serverAt is the server with an address.
func serverAt[S server](servers []S, addr string) (found S, err error) {
	for _, s := range servers {
		if s.Addr() == addr {
			return s, nil
		}
	}
	return found, fmt.Errorf("no server of this group has the address %q", addr)
}

// logs joins the logs of servers, each under its address.
func logs[S server](servers []S) string {
	var b strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&b, "--- %s ---\n%s\n", s.Addr(), s.Log())
	}
	return b.String()
}

// all succeeds when check does for every server that runs.
func all[S server](ctx context.Context, servers []S, check func(context.Context, S) error) error {
	for _, s := range servers {
		if !s.Running() {
			continue
		}
		if err := check(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.Addr(), err)
		}
	}
	return nil
}

// atOnce calls f for all servers at the same time.
func atOnce[S any](servers []S, f func(S) error) error {
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		wg.Go(func() { errs[i] = f(s) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
