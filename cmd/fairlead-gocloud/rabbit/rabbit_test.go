package rabbit

import (
	"errors"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	gcpubsub "gocloud.dev/pubsub"
	"gocloud.dev/pubsub/rabbitpubsub"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub"
)

// TestBroker runs the tests that share one broker and do not kill it.
func TestBroker(t *testing.T) {
	t.Parallel()
	s := testbed.Rabbit(t)
	for name, test := range map[string]func(*testing.T, *testbed.RabbitServer){
		"a stale acknowledgement settles no other message": staleAck,
		"names as AMQP allows them":                        names,
		"prefix":                                           prefix,
		"refused users":                                    refusedUsers,
		"description":                                      description,
		"a deleted queue":                                  deletedQueue,
		"an interrupted broadcast":                         interrupted,
		"a lost binding":                                   lostBinding,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, s) })
	}
}

// staleAck makes the broker close the channel that delivered the messages, as it
// does after its consumer_timeout. rabbitpubsub silently opens another channel,
// on which delivery tags start from 1 again.
func staleAck(t *testing.T, s *testbed.RabbitServer) {
	b := testBroker(t, s)
	f, err := b.openSubscription(t.Context(), "stale", "g")
	check.NoError(t, err)
	publish(t, open(t, "gocloud+rabbit://"+s.Addr()), "stale", "first", "second")
	ctx := t.Context()
	one, err := f.Receive(ctx)
	check.NoError(t, err)
	two, err := f.Receive(ctx)
	check.NoError(t, err)
	var d amqp.Delivery
	if !one.As(&d) {
		t.Fatal("no delivery")
	}
	check.NoError(t, d.Acknowledger.Ack(999, false)) // PRECONDITION_FAILED, as after the timeout

	_, err = f.Receive(ctx) // on the new channel, where delivery tags start again
	check.NoError(t, err)
	for _, old := range []*gcpubsub.Message{one, two} {
		if err := acknowledge(old); err == nil {
			t.Errorf("%s was acknowledged on a channel that is gone", old.Body)
		}
	}
	check.NoError(t, f.Close(ctx)) // neither message was acknowledged

	rest := subscribe(t, open(t, "gocloud+rabbit://"+s.Addr()), "stale", pubsub.Group("g"))
	if got := receive(t, rest, 2); got["first"] == nil || got["second"] == nil {
		t.Errorf("received %v", got)
	}
}

func testBroker(t *testing.T, s *testbed.RabbitServer) *broker {
	t.Helper()
	b := &broker{hosts: []string{s.Addr()}, user: "guest", password: "guest", vhost: "/", prefix: "fairlead/", prefetch: 10}
	b.publisher = &publisher{broker: b}
	t.Cleanup(func() { _ = b.publisher.close(t.Context()) })
	return b
}

func names(t *testing.T, s *testbed.RabbitServer) {
	long := strings.Repeat("n", 128)
	p := open(t, "gocloud+rabbit://"+s.Addr()+"/")
	a := subscribe(t, p, long, pubsub.Group(long))
	b := subscribe(t, p, long, pubsub.Group(long[:127]+"x"))
	subscribe(t, p, "amq.direct", pubsub.Group("amq.g")) // reserved by AMQP
	publish(t, p, long, "m")
	receive(t, a, 1)
	receive(t, b, 1)
	if b := testBroker(t, s); len(b.queueName(long, long)) > maxNameLength || b.queueName(long, long) == b.queueName(long, long[:127]+"x") {
		t.Errorf("the queue is called %q", b.queueName(long, long))
	}
}

// prefix: a program that uses only rabbitpubsub reaches the same exchange.
func prefix(t *testing.T, s *testbed.RabbitServer) {
	p := open(t, "gocloud+rabbit://guest:guest@"+s.Addr()+"/%2F?prefix=")
	sub := subscribe(t, p, "plain", pubsub.Group("g"))
	check.NoError(t, admin(t, s.URL()).PublishWithContext(t.Context(), "plain", "", false, false, amqp.Publishing{
		Body: []byte("foreign"), Headers: amqp.Table{"Number": int32(3)}}))
	d := receive(t, sub, 1)["foreign"]
	if d == nil || d.Metadata["Number"] != "3" || d.ID == "" {
		t.Errorf("a message of another program was received as %+v", d)
	}
}

func refusedUsers(t *testing.T, s *testbed.RabbitServer) {
	for url, want := range map[string]fairlead.Code{
		"gocloud+rabbit://guest:wrong@" + s.Addr():        fairlead.PermissionDenied,
		"gocloud+rabbit://" + s.Addr() + "/nowhere":       fairlead.PermissionDenied,
		"gocloud+rabbit://" + s.Addr() + "/a/b":           fairlead.Invalid,
		"gocloud+rabbit://" + s.Addr() + "?prefetch=0":    fairlead.Invalid,
		"gocloud+rabbit://127.0.0.1:1":                    fairlead.Unavailable,
		"gocloud+rabbits://" + s.Addr():                   fairlead.Unavailable, // it speaks no TLS
		"gocloud+rabbit://" + s.Addr() + "?server-name=x": fairlead.Invalid,
	} {
		p, err := fairlead.Open(t.Context(), url)
		if err == nil {
			_ = p.Close(t.Context())
		}
		if !errors.Is(err, want) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%s: %v, want %v", url, err, want)
		}
	}
	p := open(t, "gocloud+rabbit://127.0.0.1:1,"+s.Addr()) // the second host answers
	publish(t, p, "hosts", "m")
}

func description(t *testing.T, s *testbed.RabbitServer) {
	d, err := open(t, "gocloud+rabbit://guest:guest@"+s.Addr()).Describe(t.Context())
	check.NoError(t, err)
	if d.System != "rabbitmq" || d.Endpoint != s.Addr() || !strings.HasPrefix(d.Version, "3.") {
		t.Errorf("described as %+v", d)
	}
	f, _ := d.Facet(fairlead.PubSub)
	if f.Has(fairlead.DurableFsync) || !f.Has(pubsub.Broadcast) || f.Has(pubsub.ConfirmedAck) || f.Has(pubsub.Manage) {
		t.Errorf("claims %v", f.Claims)
	}
}

// lostBinding: the broker has lost a binding, as it may when it is killed. The
// publisher binds the queue again. It does not create again what an operator
// deleted.
func lostBinding(t *testing.T, s *testbed.RabbitServer) {
	p := open(t, "gocloud+rabbit://"+s.Addr())
	for _, group := range []string{"g", "gone"} {
		check.NoError(t, subscribe(t, p, "unbound", pubsub.Group(group)).Close(t.Context()))
	}
	ch := admin(t, s.URL())
	check.NoError(t, ch.QueueUnbind("fairlead/unbound/g", "", "fairlead/unbound", nil))
	_, err := ch.QueueDelete("fairlead/unbound/gone", false, false, false)
	check.NoError(t, err)
	publish(t, p, "unbound", "m")
	receive(t, subscribe(t, p, "unbound", pubsub.Group("g")), 1)
	if _, err := ch.QueueDeclarePassive("fairlead/unbound/gone", true, false, false, false, nil); err == nil {
		t.Error("a queue that was deleted exists again")
	}
}

// deletedQueue: an operator deletes the queue while a consumer waits. The queue is
// created again, and the consumer gets an error.
func deletedQueue(t *testing.T, s *testbed.RabbitServer) {
	p := open(t, "gocloud+rabbit://"+s.Addr())
	sub := subscribe(t, p, "deleted", pubsub.Group("g"))
	publish(t, p, "deleted", "before")
	check.NoError(t, receive(t, sub, 1)["before"].Ack(t.Context()))
	_, err := admin(t, s.URL()).QueueDelete("fairlead/deleted/g", false, false, false)
	check.NoError(t, err)
	for deadline := time.Now().Add(patience); ; {
		publish(t, p, "deleted", "after")
		ctx, cancel := contextWithin(t, 200*time.Millisecond)
		d, err := sub.Receive(ctx)
		cancel()
		if err == nil && string(d.Body) == "after" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing came after the queue was deleted: %v", err)
		}
	}
}

// TestOutcomes of the errors of rabbitpubsub.
func TestOutcomes(t *testing.T) {
	unroutable := errors.New("rabbitpubsub: message returned from fairlead/x: NO_ROUTE (code 312)")
	other := errors.New("rabbitpubsub: ack failed on publish")
	for _, c := range []struct {
		err  error
		good bool
	}{
		{unroutable, true},
		{other, false},
		{rabbitpubsub.MultiError{unroutable, unroutable}, true},
		{rabbitpubsub.MultiError{unroutable, other}, false},
		{amqp.ErrClosed, false},
	} {
		if got := convertSendError(c.err); (got == nil) != c.good {
			t.Errorf("%v: %v, want success: %v", c.err, got, c.good)
		}
	}
}

// interrupted: a broadcast reports the gap once, and then continues.
func interrupted(t *testing.T, s *testbed.RabbitServer) {
	proxy := testbed.Proxy(t, s.Addr())
	p := open(t, "gocloud+rabbit://"+proxy.Addr())
	sub := subscribe(t, p, "interrupted", pubsub.WithoutGroup())
	direct := open(t, "gocloud+rabbit://"+s.Addr())
	publish(t, direct, "interrupted", "before")
	check.NoError(t, receive(t, sub, 1)["before"].Ack(t.Context()))
	proxy.Cut()

	ctx, cancel := contextWithin(t, patience)
	defer cancel()
	if _, err := sub.Receive(ctx); !errors.Is(err, pubsub.ErrGap) {
		t.Fatalf("after the connection was lost: %v, want a gap", err)
	}
	waiting := make(chan error, 1)
	go func() {
		d, err := sub.Receive(ctx)
		if err == nil && string(d.Body) != "after" {
			err = errors.New("received " + string(d.Body))
		}
		waiting <- err
	}()
	for {
		publish(t, direct, "interrupted", "after")
		select {
		case err := <-waiting:
			check.NoError(t, err)
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}
