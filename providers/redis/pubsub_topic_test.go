package redis_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	"fairlead.dev/pubsub/driver"
)

func TestSendRoundTrip(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	s := tt.subscribe(group)
	metadata := map[string]string{"Color": "red", "empty": "", "1:2": "3:x\x00\r\n", "日本": "語"}
	before := time.Now().Add(-time.Second)
	results := tt.send(tt.topic(),
		driver.Message{ID: "id\x00", Key: "key\n \x00", Body: []byte("\x00\xff\r\n"), Metadata: metadata}, driver.Message{})
	got := tt.receive(s, 2)
	if results[0].ID != "id\x00" || results[1].ID != results[1].Position || results[1].Position == "" {
		t.Fatalf("%+v", results)
	}
	for i, d := range got {
		if d.Time.Before(before) || d.Time.After(time.Now().Add(time.Second)) {
			t.Errorf("time %v", d.Time)
		}
		if d.ID != results[i].ID || d.Position != results[i].Position || d.Attempt != 1 {
			t.Errorf("%+v answers %+v", d, results[i])
		}
	}
	if got[0].Key != "key\n \x00" || string(got[0].Body) != "\x00\xff\r\n" {
		t.Errorf("%+v", got[0])
	}
	if diff := cmp.Diff(metadata, got[0].Metadata); diff != "" {
		t.Error(diff)
	}
	if got[1].Metadata != nil || len(got[1].Body) != 0 || got[1].Key != "" {
		t.Errorf("%+v", got[1])
	}
	tt.ack(s, got...)
}

func TestSendOmitsExpiredMessages(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	s := tt.subscribe(group)
	results := tt.topic().Send(t.Context(), []driver.Message{
		{Body: []byte("late"), Deadline: time.Now().Add(-time.Second)},
		{Body: []byte("in time"), Deadline: time.Now().Add(time.Minute)},
	})
	check.Code(t, results[0].Err, fairlead.DeadlineExceeded)
	if results[1].Err != nil {
		t.Fatal(results[1].Err)
	}
	tt.receiveBodies(s, "in time")
}

// If a topic is deleted while a publisher has it open, every kind of Send creates
// it again.
func TestSendAfterTheTopicWasDeleted(t *testing.T) {
	for name, msgs := range map[string][]driver.Message{
		"one": {{}}, "several": {{}, {}}, "with ids": {{ID: "a"}, {}},
	} {
		t.Run(name, func(t *testing.T) {
			tt := newTopicTest(t, testbed.Redis(t))
			topic := tt.topic()
			if err := tt.p.DeleteTopic(t.Context(), tt.name); err != nil {
				t.Fatal(err)
			}
			tt.send(topic, msgs...)
			s := tt.subscribe(group)
			tt.ack(s, tt.receive(s, len(msgs))...)
			tt.wantNoDelivery(s)
		})
	}
}

// Without the permission for transactions, a script stores the messages, all or
// none.
func TestSendWithoutTransactions(t *testing.T) {
	server := testbed.Redis(t, testbed.RedisUser("app", "pw", "~* &* +@all -multi"))
	tt := topicTest{t, openPubsub(t, server.URLFor("app", "pw")), "orders"}
	s := tt.subscribe(group)
	tt.sendBodies(tt.topic(), "a", "b", "c")
	tt.ack(s, tt.receiveBodies(s, "a", "b", "c")...)
}

func TestLeastPermissionsOfPubsub(t *testing.T) {
	server := startForLeastUser(t, "every facet", "pubsub")
	tt := topicTest{t, openPubsub(t, server.URLFor("least", "pw"), "retention", "1ms"), "orders"}
	topic, a, b := tt.topic(), tt.subscribe(group), tt.subscribe(everything)
	tt.send(topic, driver.Message{Body: []byte("a")}, driver.Message{Key: "k", Body: []byte("b")})
	tt.send(topic, driver.Message{ID: "c", Body: []byte("c")})
	tt.settle(a, driver.Nack, 0, tt.receiveBodies(a, "a")...)
	tt.ack(a, tt.receiveBodies(a, "a", "b", "c")...)
	tt.ack(b, tt.receiveBodies(b, "a", "b", "c")...)
	awaitLength(t, tt, server, topic, 0)
	tt.close(a)
	if err := tt.p.DeleteTopic(t.Context(), tt.name); err != nil {
		t.Error(err)
	}
}

// If the server refuses messages, the error has the code of the refusal, and none
// of them is stored.
func TestSendThatIsRefused(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	topic, s, c := tt.topic(), tt.subscribe(group), testbed.RedisClient(t, server)
	refused := func(code fairlead.Code) {
		t.Helper()
		for _, n := range []int{1, 3} {
			for _, r := range topic.Send(t.Context(), make([]driver.Message, n)) {
				check.Code(t, r.Err, code)
			}
		}
	}
	check.NoError(t, c.ConfigSet(t.Context(), "maxmemory", "1").Err())
	refused(fairlead.Unavailable)
	check.NoError(t, c.ConfigSet(t.Context(), "maxmemory", "0").Err())
	check.NoError(t, c.ConfigSet(t.Context(), "min-replicas-to-write", "1").Err())
	refused(fairlead.Unavailable)
	check.NoError(t, c.ConfigSet(t.Context(), "min-replicas-to-write", "0").Err())
	tt.wantNoDelivery(s)
	tt.sendBodies(topic, "a", "b")
	tt.receiveBodies(s, "a", "b")
}

// The same holds for what another program has put under the topic's keys, and for a
// stream whose IDs it has used up. If a part was stored, the outcome is unknown.
func TestSendIntoDamagedTopics(t *testing.T) {
	const (
		allIDs = "18446744073709551615-18446744073709551615"
		oneID  = "18446744073709551615-18446744073709551614"
	)
	one, two := []driver.Message{{}}, []driver.Message{{}, {}}
	oneWithID, twoWithID := []driver.Message{{ID: "x"}}, []driver.Message{{}, {ID: "x"}}
	for name, r := range map[string]struct {
		damage []any
		msgs   []driver.Message
		code   fairlead.Code
		stored int64
	}{
		"foreign ids":                  {[]any{"set", "fairlead:ps:{orders}:ids", "junk"}, twoWithID, fairlead.Internal, 0},
		"foreign ids, one message":     {[]any{"set", "fairlead:ps:{orders}:ids", "junk"}, oneWithID, fairlead.Internal, 0},
		"foreign older ids":            {[]any{"set", "fairlead:ps:{orders}:ids:older", "junk"}, twoWithID, fairlead.Internal, 0},
		"no stream ID":                 {[]any{"xsetid", ordersStream, allIDs}, one, fairlead.Internal, 0},
		"no stream ID, with ID":        {[]any{"xsetid", ordersStream, allIDs}, oneWithID, fairlead.Internal, 0},
		"no stream ID, two":            {[]any{"xsetid", ordersStream, allIDs}, two, fairlead.Internal, 0},
		"no stream ID, two with ID":    {[]any{"xsetid", ordersStream, allIDs}, twoWithID, fairlead.Internal, 0},
		"one stream ID, with ID":       {[]any{"xsetid", ordersStream, oneID}, oneWithID, 0, 1},
		"one stream ID, two with ID":   {[]any{"xsetid", ordersStream, oneID}, twoWithID, fairlead.Internal, 0},
		"one stream ID, a transaction": {[]any{"xsetid", ordersStream, oneID}, two, fairlead.UnknownOutcome, 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := testbed.Redis(t)
			tt := newTopicTest(t, server)
			topic, c := tt.topic(), testbed.RedisClient(t, server)
			check.NoError(t, c.Do(t.Context(), r.damage...).Err())
			for _, result := range topic.Send(t.Context(), r.msgs) {
				check.Code(t, result.Err, r.code)
			}
			if n := c.XLen(t.Context(), ordersStream).Val(); n != r.stored {
				t.Errorf("%d messages are stored, want %d", n, r.stored)
			}
		})
	}
}

func TestSendLargest(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t), "read-timeout", "1m", "write-timeout", "1m")
	s := tt.subscribe(group)
	large := strings.Repeat("x", 8<<20)
	tt.sendBodies(tt.topic(), large, large, "small")
	tt.ack(s, tt.receiveBodies(s, large, large, "small")...)
}

func TestDedupe(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t), "dedupe-window", "300ms")
	s, topic := tt.subscribe(group), tt.topic()
	m := driver.Message{ID: "one", Body: []byte("a")}
	first := tt.send(topic, m, m)
	if first[0].Duplicate || !first[1].Duplicate || first[0].Position != first[1].Position {
		t.Fatalf("%+v", first)
	}
	if again := tt.send(topic, m)[0]; !again.Duplicate || again.ID != "one" || again.Position != first[0].Position {
		t.Fatalf("%+v", again)
	}
	deadline := time.Now().Add(patience)
	for tt.send(topic, m)[0].Duplicate {
		if time.Now().After(deadline) {
			t.Fatal("the ID is still remembered")
		}
		time.Sleep(20 * time.Millisecond)
	}
	got := tt.receive(s, 2)
	if lived := got[1].Time.Sub(got[0].Time); lived < 300*time.Millisecond {
		t.Fatalf("the id was forgotten after %v", lived)
	}
}

func TestDedupeEndsWithTheTopic(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	tt := newTopicTest(t, server)
	topic := tt.topic()
	m := driver.Message{ID: "one"}
	for name, remove := range map[string]func() error{
		"DeleteTopic":        func() error { return tt.p.DeleteTopic(t.Context(), tt.name) },
		"DEL by an operator": func() error { return c.Del(t.Context(), ordersStream).Err() },
	} {
		tt.send(topic, m)
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		if tt.send(topic, m)[0].Duplicate {
			t.Fatalf("%s: the ID of a message of the deleted topic is still remembered", name)
		}
	}
}

func TestDedupeOff(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t), "dedupe-window", "0s")
	m := driver.Message{ID: "one"}
	if results := tt.send(tt.topic(), m, m); results[1].Duplicate {
		t.Fatalf("%+v", results)
	}
	d, err := tt.p.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := d.Facet(fairlead.PubSub); f.Has(driver.ClaimDedupe) || !f.Has(driver.ClaimAtomicBatch) {
		t.Fatalf("%+v", f.Claims)
	}
}

func TestTopics(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	for _, name := range []string{"orders", "orders.eu", "users"} {
		if _, err := tt.p.OpenTopic(t.Context(), driver.TopicConfig{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	topics := func(want ...string) {
		t.Helper()
		got, err := tt.p.Topics(t.Context(), "orders")
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%q, %v, want %q", got, err, want)
		}
	}
	topics("orders", "orders.eu")
	tt.send(tt.topic(), messagesOfKey("x", 3)...)
	tt.receive(tt.subscribe(group), 1)
	tt.wantNoDelivery(tt.subscribe(group))
	for range 2 {
		if err := tt.p.DeleteTopic(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
	}
	topics("orders.eu")
	left, err := testbed.RedisClient(t, server).Keys(t.Context(), "*{orders}*").Result()
	if err != nil || len(left) != 0 {
		t.Fatalf("keys that were not removed: %q, %v", left, err)
	}
}

func TestStart(t *testing.T) {
	server := testbed.Redis(t)
	tt := newTopicTest(t, server)
	topic := tt.topic()
	sent := tt.sendBodies(topic, "a", "b")
	time.Sleep(5 * time.Millisecond) // another millisecond of the server's clock
	c := tt.sendBodies(topic, "c")[0]
	at := tt.receive(tt.subscribe(group), 3)[2].Time
	for name, start := range map[string]driver.SubscriptionConfig{
		"time":     {Start: driver.StartTime, Time: at},
		"position": {Start: driver.StartPosition, Position: sent[1].Position},
	} {
		tt.receiveBodies(tt.subscribe(start), "c")
		start.Group = name
		tt.receiveBodies(tt.subscribe(start), "c")
	}
	for _, name := range []string{"", "new"} {
		tt.wantNoDelivery(tt.subscribe(driver.SubscriptionConfig{Group: name, Start: driver.StartNew}))
		last := driver.SubscriptionConfig{Group: name, Start: driver.StartPosition, Position: c.Position}
		tt.wantNoDelivery(tt.subscribe(last))
	}
	for _, position := range []string{"", "x", "1-", "01-1", "99999999999999-0"} {
		_, err := tt.trySubscribe(driver.SubscriptionConfig{Group: "bad", Start: driver.StartPosition, Position: position})
		check.Code(t, err, fairlead.Invalid)
	}
	if err := tt.p.DeleteTopic(t.Context(), tt.name); err != nil {
		t.Fatal(err)
	}
	_, err := tt.trySubscribe(driver.SubscriptionConfig{Start: driver.StartPosition, Position: c.Position})
	check.Code(t, err, fairlead.Compacted)
}
