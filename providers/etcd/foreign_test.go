package etcd_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/kv/driver"
	"fairlead.dev/pubsub"
)

// subscribed is a topic "t" with the group "g", and a client of etcd.
type subscribed struct {
	client *clientv3.Client
	topic  *pubsub.Topic
	sub    *pubsub.Subscription
}

func subscribe(t *testing.T, server *testbed.EtcdServer) subscribed {
	t.Helper()
	p := open(t, server.URL())
	sub, err := pubsub.Subscribe(t.Context(), p, "t", pubsub.Group("g"))
	check.NoError(t, err)
	t.Cleanup(func() { _ = sub.Close(context.Background()) })
	topic, err := pubsub.Open(t.Context(), p, "t")
	check.NoError(t, err)
	t.Cleanup(func() { _ = topic.Close(context.Background()) })
	return subscribed{etcdClient(t, server), topic, sub}
}

func (s subscribed) publish(t *testing.T, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		_, err := s.topic.Publish(t.Context(), pubsub.Message{Body: []byte(b)})
		check.NoError(t, err)
	}
}

// receive acknowledges messages until a body comes. It returns the bodies before
// it, and the errors.
func (s subscribed) receive(t *testing.T, until string) (bodies []string, errs []error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for {
		d, err := s.sub.Receive(ctx)
		if err != nil {
			if ctx.Err() != nil {
				t.Fatalf("%q did not come; before it came %q, with the errors %v", until, bodies, errs)
			}
			errs = append(errs, err)
			continue
		}
		check.NoError(t, d.Ack(ctx))
		if string(d.Body) == until {
			return bodies, errs
		}
		bodies = append(bodies, string(d.Body))
	}
}

// TestForeignValuesDoNotBlockAGroup: whatever somebody writes among the keys of a
// topic is reported once at most, and the messages after it come.
func TestForeignValuesDoNotBlockAGroup(t *testing.T) {
	const root = "fairlead/ps/t/"
	for name, test := range map[string]struct {
		key, value string
		code       fairlead.Code // of the report
	}{
		"a message":         {root + "message/00000000000000000002", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", fairlead.Internal},
		"the position":      {root + "state/g/next", "many", fairlead.Internal},
		"a key of a state":  {root + "state/g/pending/next", "{", 0},
		"a key of messages": {root + "message/00000000000000000001x", "x", 0},
		"the sequence":      {"fairlead/ps-topics/t", "many", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := subscribe(t, testbed.Etcd(t))
			s.publish(t, "1")
			s.receive(t, "1")
			_, err := s.client.Put(t.Context(), test.key, test.value)
			check.NoError(t, err)
			if name == "a message" { // as if it had been published
				_, err = s.client.Put(t.Context(), "fairlead/ps-topics/t", "2")
				check.NoError(t, err)
			}
			s.publish(t, "2", "3")
			_, errs := s.receive(t, "3")
			if test.code == 0 && len(errs) > 0 || test.code != 0 && (len(errs) != 1 || fairlead.CodeOf(errs[0]) != test.code) {
				t.Errorf("the errors are %v, want one with the code %q", errs, test.code)
			}
		})
	}
}

// TestWhatAnOperatorDeletes: what is deleted by hand is reported, or does no harm,
// and the group goes on.
func TestWhatAnOperatorDeletes(t *testing.T) {
	const root = "fairlead/ps/t/"
	for name, test := range map[string]struct {
		key    string
		prefix bool
		code   fairlead.Code // of the report
		lost   string        // the message that does not come
	}{
		"a message that was not read":   {root + "message/00000000000000000011", false, fairlead.Compacted, "11"},
		"all messages":                  {root + "message/", true, fairlead.Compacted, "11"},
		"the sequence":                  {"fairlead/ps-topics/t", false, fairlead.Compacted, ""},
		"the topic":                     {"fairlead/ps", true, fairlead.Compacted, "11"},
		"the name of the group":         {root + "group/g", false, 0, ""},
		"the messages that were taken":  {root + "state/g/pending/", true, 0, ""},
		"the lease of a message":        {root + "state/g/pending/00000000000000000001/lease", false, 0, ""},
		"the state of the whole group":  {root + "state/g/", true, fairlead.NotFound, "11"},
		"something that does not exist": {root + "x", true, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := subscribe(t, testbed.Etcd(t))
			large := strings.Repeat("x", 20<<10) // which is not kept in memory
			_, err := s.topic.Publish(t.Context(), pubsub.Message{Body: []byte("1")})
			check.NoError(t, err)
			s.receive(t, "1")
			check.NoError(t, s.sub.Close(t.Context()))
			for i := 2; i <= 10; i++ {
				s.publish(t, large)
			}
			s.publish(t, "11")
			var opts []clientv3.OpOption
			if test.prefix {
				opts = append(opts, clientv3.WithPrefix())
			}
			sub, err := pubsub.Subscribe(t.Context(), open(t, urlOf(s.client)), "t", pubsub.Group("g"))
			check.NoError(t, err)
			defer sub.Close(context.Background())
			s.sub = sub
			_, err = s.client.Delete(t.Context(), test.key, opts...)
			check.NoError(t, err)
			if test.code == fairlead.NotFound {
				_, err := sub.Receive(t.Context())
				check.Code(t, err, fairlead.NotFound)
				return
			}
			s.publish(t, "end")
			bodies, errs := s.receive(t, "end")
			reported := false
			for _, err := range errs {
				reported = reported || fairlead.CodeOf(err) == test.code
			}
			if test.code != 0 && !reported || test.code == 0 && len(errs) > 0 {
				t.Errorf("the errors are %v, want the code %q", errs, test.code)
			}
			if came := strings.Contains(strings.Join(bodies, ","), "11"); test.lost == "" && test.code == 0 && !came && name != "the messages that were taken" {
				t.Errorf("message 11 did not come")
			}
		})
	}
}

func urlOf(c *clientv3.Client) string {
	return "etcd://" + strings.TrimPrefix(c.Endpoints()[0], "http://")
}

// TestManyDelayedMessages: many messages that wait neither end a group nor slow it
// down more and more.
func TestManyDelayedMessages(t *testing.T) {
	const n = 3000
	s := subscribe(t, testbed.Etcd(t))
	msgs := make([]pubsub.Message, n)
	for i := range msgs {
		msgs[i].Body = fmt.Append(nil, i)
	}
	_, err := s.topic.PublishMany(t.Context(), msgs...)
	check.NoError(t, err)
	for got := 0; got < n; {
		ds, err := s.sub.ReceiveMany(t.Context(), 50)
		check.NoError(t, err)
		got += len(ds)
		errs := make(chan error, len(ds))
		for _, d := range ds {
			go func() { errs <- d.Nack(t.Context(), time.Hour) }()
		}
		for range ds {
			check.NoError(t, <-errs)
		}
	}
	s.publish(t, "end")
	s.receive(t, "end")
}

// TestForeignValueWithALease: a value that another program wrote under a lease is
// read as it is, and a refused CAS tells it.
func TestForeignValueWithALease(t *testing.T) {
	server := testbed.Etcd(t)
	client := etcdClient(t, server)
	s := openStore(t, open(t, server.URL()), "s")
	lease, err := client.Grant(t.Context(), 60)
	check.NoError(t, err)
	w := watch(t, s, "")
	for _, value := range []string{"short", "a text of more than eight bytes"} {
		_, err = client.Put(t.Context(), "fairlead/kv/s/k", value, clientv3.WithLease(lease.ID))
		check.NoError(t, err)
		wantValue(t, s, "k", value)
		r := one(t, s, driver.Op{Kind: driver.OpCreate, Key: "k"})
		check.Code(t, r.Err, fairlead.Conflict)
		if r.Current == nil || string(r.Current.Value) != value {
			t.Errorf("the present entry is %+v, want the value %q", r.Current, value)
		}
		page, err := s.List(t.Context(), driver.ListRequest{Limit: 10})
		check.NoError(t, err)
		if len(page.Entries) != 1 || string(page.Entries[0].Value) != value {
			t.Errorf("the listing is %+v", page.Entries)
		}
		if e := next(t, w); string(e[0].Value) != value {
			t.Errorf("the event is %+v", e[0])
		}
	}
}

// TestTimesToLiveUpToTheBound: the longest time to live works, and one that etcd does
// not take is refused before anything is written.
func TestTimesToLiveUpToTheBound(t *testing.T) {
	s := openStore(t, open(t, testbed.Etcd(t).URL()), "s")
	mustPut(t, s, "k", "v", fairlead.MaxDuration)
	wantValue(t, s, "k", "v")
	for _, ttl := range []time.Duration{9_000_000_001 * time.Second, 1<<63 - 1} {
		r := one(t, s, driver.Op{Kind: driver.OpPut, Key: "k", Value: []byte("w"), TTL: ttl})
		check.Code(t, r.Err, fairlead.Invalid)
	}
	wantValue(t, s, "k", "v")
}
