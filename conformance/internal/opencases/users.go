package opencases

import (
	"context"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/conformance/internal/suite"
	"fairlead.dev/kv"
	"fairlead.dev/pubsub"
	"fairlead.dev/rpc"
)

// user opens and uses a facet. It serves the rules that hold for all facets.
type user struct {
	facet fairlead.Facet
	open  func(ctx context.Context, p fairlead.Provider, name string, reqs ...fairlead.Requirement) (opened, error)
}

// opened is a facet that a user opened.
type opened struct {
	// use is a call that succeeds on a live backend.
	use func(ctx context.Context) error
	// block is a call that waits for an event that never comes; nil if the
	// provider's facet has no such call.
	block func(ctx context.Context) error
	close func(ctx context.Context) error
}

// offeredUsers returns a user of each facet that the provider offers.
func offeredUsers(t *suite.T) []user {
	var offered []user
	for _, u := range allUsers {
		if _, ok := suite.FacetOf(t.Description(), u.facet); ok {
			offered = append(offered, u)
		}
	}
	return offered
}

var allUsers = []user{
	{fairlead.KV, useKV}, {fairlead.PubSub, usePubSub}, {fairlead.RPC, useRPC}, {fairlead.Config, useConfig},
}

// openUser opens a facet of p under a new name.
func openUser(t *suite.T, u user, p fairlead.Provider) opened {
	o, err := u.open(t.Context(), p, t.Name())
	if err != nil {
		t.Fatalf("%s: opening: %v", u.facet, err)
	}
	t.Cleanup(o.close)
	return o
}

func useKV(ctx context.Context, p fairlead.Provider, name string, reqs ...fairlead.Requirement) (opened, error) {
	s, err := kv.Open(ctx, p, name, kv.Require(reqs...))
	if err != nil {
		return opened{}, err
	}
	o := opened{close: s.Close, use: func(ctx context.Context) error {
		_, err := s.Put(ctx, "k", []byte("v"))
		return err
	}}
	if s.Describe().Has(kv.Watch) {
		o.block = func(ctx context.Context) error {
			w, err := s.Watch(ctx, "nothing")
			if err == nil {
				_, err = w.Next(ctx)
			}
			return err
		}
	}
	return o, nil
}

func usePubSub(ctx context.Context, p fairlead.Provider, name string, reqs ...fairlead.Requirement) (opened, error) {
	topic, err := pubsub.Open(ctx, p, name, pubsub.Require(reqs...))
	if err != nil {
		return opened{}, err
	}
	// The Receive that waits has another topic, so that nothing comes.
	sub, err := pubsub.Subscribe(ctx, p, name+"-quiet", pubsub.Group("g"), pubsub.Require(reqs...))
	if err != nil {
		_ = topic.Close(ctx)
		return opened{}, err
	}
	return opened{
		use: func(ctx context.Context) error {
			_, err := topic.Publish(ctx, pubsub.Message{Body: []byte("m")})
			return err
		},
		block: func(ctx context.Context) error {
			_, err := sub.Receive(ctx)
			return err
		},
		close: func(ctx context.Context) error {
			return suite.FirstError(sub.Close(ctx), topic.Close(ctx))
		},
	}, nil
}

func useRPC(ctx context.Context, p fairlead.Provider, name string, reqs ...fairlead.Requirement) (opened, error) {
	conn, err := rpc.Dial(ctx, p, name, rpc.Require(reqs...))
	if err != nil {
		return opened{}, err
	}
	srv, err := rpc.NewServer(ctx, p, name, rpc.Require(reqs...))
	if err != nil {
		_ = conn.Close(ctx)
		return opened{}, err
	}
	return opened{
		use: func(ctx context.Context) error {
			once, err := rpc.NewServer(ctx, p, name+"-use")
			if err != nil {
				return err
			}
			defer once.Stop()
			return once.Listen(ctx)
		},
		block: srv.Serve,
		close: func(ctx context.Context) error {
			srv.Stop()
			return conn.Close(ctx)
		},
	}, nil
}

func useConfig(ctx context.Context, p fairlead.Provider, name string, reqs ...fairlead.Requirement) (opened, error) {
	s, err := config.Open(ctx, p, name, config.Require(reqs...))
	if err != nil {
		return opened{}, err
	}
	return opened{
		close: s.Close,
		use: func(ctx context.Context) error {
			_, err := s.Snapshot(ctx)
			return err
		},
		block: func(ctx context.Context) error {
			state, err := s.Snapshot(ctx)
			if err == nil {
				_, err = s.Next(ctx, state.Version)
			}
			return err
		},
	}, nil
}
