package portable_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gocloud.dev/gcerrors"
	"gocloud.dev/runtimevar"

	"fairlead.dev"
	"fairlead.dev/config"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/providers/gocloud/portable"
	_ "fairlead.dev/providers/memory"
	"fairlead.dev/pubsub"

	gcpubsub "gocloud.dev/pubsub"
)

// The suites of gocloud.dev for drivers run over this package in the module
// cmd/fairlead-gocloud, since they link the clients of the clouds.

const patience = 30 * time.Second

func open(t *testing.T) fairlead.Provider {
	t.Helper()
	p, err := fairlead.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

func receive(t *testing.T, s *gcpubsub.Subscription) *gcpubsub.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	m, err := s.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMessagesCrossBothWays: each side receives the messages that the types of the
// other side publish.
func TestMessagesCrossBothWays(t *testing.T) {
	defer goleak.VerifyNone(t)
	p, err := fairlead.Open(t.Context(), "mem://")
	check.NoError(t, err)
	defer p.Close(t.Context())
	theirs, err := portable.OpenSubscription(t.Context(), p, "orders", pubsub.Group("theirs"))
	check.NoError(t, err)
	ours, err := pubsub.Subscribe(t.Context(), p, "orders", pubsub.Group("ours"))
	check.NoError(t, err)
	topic, err := portable.OpenTopic(t.Context(), p, "orders")
	check.NoError(t, err)

	check.NoError(t, topic.Send(t.Context(), &gcpubsub.Message{Body: []byte("body"), Metadata: map[string]string{"Name": "value"}}))
	d, err := ours.Receive(t.Context())
	check.NoError(t, err)
	if string(d.Body) != "body" || d.Metadata["Name"] != "value" {
		t.Errorf("ours got %+v", d)
	}
	m := receive(t, theirs)
	if string(m.Body) != "body" || m.Metadata["Name"] != "value" || m.LoggableID != d.ID {
		t.Errorf("theirs got %+v", m)
	}
	m.Nack()
	again := receive(t, theirs)
	var same *pubsub.Delivery
	if !again.As(&same) || same.Attempt != 2 || same.ID != d.ID {
		t.Errorf("given back, it came as %+v", same)
	}
	again.Ack()
	check.NoError(t, d.Ack(t.Context()))
	check.NoError(t, topic.Shutdown(t.Context()))
	check.NoError(t, theirs.Shutdown(t.Context()))
	check.NoError(t, ours.Close(t.Context()))
}

// TestShutdownGivesBack: messages that gocloud.dev fetched and no call received are
// delivered to another consumer at once.
func TestShutdownGivesBack(t *testing.T) {
	p := open(t)
	sub, err := portable.OpenSubscription(t.Context(), p, "orders", pubsub.Group("g"), pubsub.AckDeadline(time.Hour))
	check.NoError(t, err)
	topic, err := pubsub.Open(t.Context(), p, "orders")
	check.NoError(t, err)
	for range 20 {
		_, err := topic.Publish(t.Context(), pubsub.Message{Body: []byte("m")})
		check.NoError(t, err)
	}
	receive(t, sub).Ack()
	check.NoError(t, sub.Shutdown(t.Context()))
	rest, err := pubsub.Subscribe(t.Context(), p, "orders", pubsub.Group("g"))
	check.NoError(t, err)
	for got := 0; got < 19; {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		ds, err := rest.ReceiveMany(ctx, 100)
		cancel()
		if err != nil {
			t.Fatalf("%d of 19 messages came: %v", got, err)
		}
		got += len(ds)
	}
}

func TestBadOptions(t *testing.T) {
	p := open(t)
	_, err := portable.OpenTopic(t.Context(), p, "orders", 3)
	check.Code(t, err, fairlead.Invalid) // a number as an option
	_, err = portable.OpenSubscription(t.Context(), p, "orders")
	check.Code(t, err, fairlead.Invalid) // neither group nor broadcast
	_, err = portable.OpenTopic(t.Context(), p, "orders", pubsub.Require(fairlead.DurableFsync))
	check.Code(t, err, fairlead.Unsupported) // what memory lacks
	_, err = portable.OpenVariable(t.Context(), p, "app", "key", nil)
	check.Code(t, err, fairlead.Invalid) // no decoder
}

// TestErrorsHaveCodes: errors have gocloud.dev's codes.
func TestErrorsHaveCodes(t *testing.T) {
	p := open(t)
	topic, err := portable.OpenTopic(t.Context(), p, "orders")
	check.NoError(t, err)
	defer topic.Shutdown(t.Context())
	err = topic.Send(t.Context(), &gcpubsub.Message{Metadata: map[string]string{"": "no name"}})
	var e *fairlead.Error
	if gcerrors.Code(err) != gcerrors.InvalidArgument || !topic.ErrorAs(err, &e) || e.Code != fairlead.Invalid {
		t.Errorf("bad metadata: %v, %v", err, e)
	}
	check.NoError(t, p.Close(t.Context()))
	if err := topic.Send(t.Context(), &gcpubsub.Message{}); gcerrors.Code(err) != gcerrors.FailedPrecondition {
		t.Errorf("a closed provider: %v", err)
	}
}

// TestVariableFollows: a variable follows its setting, and ignores other settings.
func TestVariableFollows(t *testing.T) {
	p := open(t)
	src, err := config.Open(t.Context(), p, "app")
	check.NoError(t, err)
	set := func(key, value string) {
		t.Helper()
		_, err := src.Set(t.Context(), config.Put(key, []byte(value)))
		check.NoError(t, err)
	}
	set("rate", "1")
	v, err := portable.OpenVariable(t.Context(), p, "app", "rate", runtimevar.StringDecoder)
	check.NoError(t, err)
	defer func() { check.NoError(t, v.Close()) }()
	want := func(value string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		s, err := v.Watch(ctx)
		if err != nil || s.Value != value {
			t.Fatalf("got %v, %v; want %q", s.Value, err, value)
		}
	}
	want("1")
	set("other", "x")
	set("rate", "2")
	want("2") // without an update in between
	if latest, err := v.Latest(t.Context()); err != nil || latest.Value != "2" {
		t.Errorf("the latest is %v, %v", latest.Value, err)
	}
}
