package nats_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
)

// operator does with JetStream what other programs do.
type operator struct{ js jetstream.JetStream }

func newOperator(t *testing.T, server *testbed.NATSServer) operator {
	t.Helper()
	nc, err := nats.Connect(server.URL(), nats.MaxReconnects(-1))
	check.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	check.NoError(t, err)
	return operator{js}
}

func (o operator) PurgeTopic(ctx context.Context, topic string) error {
	s, err := o.js.Stream(ctx, "fairlead-ps-"+topic)
	if err != nil {
		return err
	}
	return s.Purge(ctx)
}

func (o operator) InsertMessage(ctx context.Context, topic string) error {
	return o.publish(ctx, "fairlead-ps-"+topic, "m")
}

// ReplaceValue takes keys of letters and digits.
func (o operator) ReplaceValue(ctx context.Context, store, key string) error {
	return o.publish(ctx, "fairlead-kv-"+store, "k.="+key)
}

func (o operator) publish(ctx context.Context, stream, subject string) error {
	s, err := o.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	_, err = o.js.Publish(ctx, strings.TrimSuffix(s.CachedInfo().Config.Subjects[0], ">")+subject, []byte("foreign"))
	return err
}
