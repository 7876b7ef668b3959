package redis_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	kv "fairlead.dev/kv/driver"
	"fairlead.dev/pubsub/driver"
)

// A time to live lasts as long as it says, or is refused before anything is
// applied.
func TestTimesToLiveAtTheirLimits(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	s := openStore(t, open(t, server.URL()), "ttl")
	for _, ttl := range []time.Duration{1, time.Millisecond, time.Hour, 876_000 * time.Hour, math.MaxInt64 - 1, math.MaxInt64} {
		check.NoError(t, doOne(t, s, kv.Op{Kind: kv.OpPut, Key: "k", TTL: ttl}).Err)
		_, err := s.Txn(t.Context(), kv.Txn{Writes: []kv.Op{{Kind: kv.OpPut, Key: "a"}, {Kind: kv.OpPut, Key: "b", TTL: ttl}}})
		check.NoError(t, err)
		for _, key := range []string{"k", "b"} {
			left, err := c.Do(t.Context(), "pttl", "fairlead:kv:{ttl}:k:"+key).Int64()
			check.NoError(t, err)
			if most := int64(ttl/time.Millisecond) + 1; left > most || ttl > time.Minute && left < most-60_000 {
				t.Errorf("time to live %v of %s: %d ms are left", ttl, key, left)
			}
		}
	}
	before := c.XLen(t.Context(), "fairlead:kv:{ttl}:log").Val()
	for _, ttl := range []time.Duration{-1, -time.Hour, math.MinInt64} {
		for _, kind := range []kv.OpKind{kv.OpPut, kv.OpCreate, kv.OpCAS} {
			check.Code(t, doOne(t, s, kv.Op{Kind: kind, Key: "new", TTL: ttl}).Err, fairlead.Invalid)
		}
		_, err := s.Txn(t.Context(), kv.Txn{Writes: []kv.Op{{Kind: kv.OpPut, Key: "a"}, {Kind: kv.OpPut, Key: "b", TTL: ttl}}})
		check.Code(t, err, fairlead.Invalid)
	}
	if after := c.XLen(t.Context(), "fairlead:kv:{ttl}:log").Val(); after != before {
		t.Errorf("refused writes were applied: %d entries in the log, then %d", before, after)
	}
}

// A write that another program makes impossible leaves nothing half done.
func TestStoreWithAKeyOfAnotherType(t *testing.T) {
	for _, key := range []string{"index", "deadlines"} {
		t.Run(key, func(t *testing.T) {
			server := testbed.Redis(t)
			c := testbed.RedisClient(t, server)
			s := openStore(t, open(t, server.URL()), "types")
			mustPut(t, s, "old", "1", time.Hour)
			check.NoError(t, c.Set(t.Context(), "fairlead:kv:{types}:"+key, "x", 0).Err())
			for _, op := range []kv.Op{{Kind: kv.OpPut, Key: "new", TTL: time.Hour}, {Kind: kv.OpDelete, Key: "old"}} {
				check.Code(t, doOne(t, s, op).Err, fairlead.Internal)
			}
			_, err := s.Txn(t.Context(), kv.Txn{Writes: []kv.Op{{Kind: kv.OpPut, Key: "new"}, {Kind: kv.OpDelete, Key: "old"}}})
			check.Code(t, err, fairlead.Internal)
			wantValue(t, s, "old", "1")
			check.Code(t, doOne(t, s, kv.Op{Kind: kv.OpGet, Key: "new"}).Err, fairlead.NotFound)
			if n := c.XLen(t.Context(), "fairlead:kv:{types}:log").Val(); n != 2 {
				t.Errorf("the log has %d entries, want 2", n)
			}
		})
	}
}

// What another program writes under one key does not affect the operations on
// others. A put or a delete replaces it.
func TestForeignValueAffectsOnlyItsKey(t *testing.T) {
	server := testbed.Redis(t)
	c := testbed.RedisClient(t, server)
	s := openStore(t, open(t, server.URL()), "foreign")
	for name, tamper := range map[string]func(key string) error{
		"text": func(key string) error { return c.Set(t.Context(), key, "abc", 0).Err() },
		"list": func(key string) error { return c.RPush(t.Context(), key, "abc").Err() },
	} {
		t.Run(name, func(t *testing.T) {
			mustPut(t, s, "f", "1", time.Hour)
			const key = "fairlead:kv:{foreign}:k:f"
			check.NoError(t, c.Del(t.Context(), key).Err())
			check.NoError(t, tamper(key))
			r := s.Do(t.Context(), []kv.Op{
				{Kind: kv.OpPut, Key: "a"}, {Kind: kv.OpCreate, Key: "f"}, {Kind: kv.OpCAS, Key: "f", Revision: "1-1"}, {Kind: kv.OpPut, Key: "b"},
			})
			for i, code := range []fairlead.Code{0, fairlead.Conflict, fairlead.Conflict, 0} {
				check.Code(t, r[i].Err, code)
			}
			_, err := s.Txn(t.Context(), kv.Txn{Conditions: []kv.Condition{{Key: "f"}}, Writes: []kv.Op{{Kind: kv.OpPut, Key: "f"}}})
			check.Code(t, err, fairlead.Conflict)
			_, err = s.List(t.Context(), kv.ListRequest{Limit: 10})
			check.Code(t, err, fairlead.Internal)
			if !strings.Contains(fmt.Sprint(err), `"f"`) {
				t.Errorf("the error of the listing does not name the key: %v", err)
			}
			mustPut(t, s, "f", "2", 0)
			wantValue(t, s, "f", "2")
			if n := c.ZCard(t.Context(), "fairlead:kv:{foreign}:deadlines").Val(); n != 0 {
				t.Errorf("%d deadlines are left", n)
			}
			check.NoError(t, c.Del(t.Context(), key).Err())
			check.NoError(t, tamper(key))
			check.NoError(t, doOne(t, s, kv.Op{Kind: kv.OpDelete, Key: "f"}).Err)
			page, err := s.List(t.Context(), kv.ListRequest{Limit: 10})
			if err != nil || len(page.Entries) != 2 {
				t.Errorf("page %+v, %v", page, err)
			}
		})
	}
}

func TestWatchOfARevisionThatIsNone(t *testing.T) {
	s := openStore(t, open(t, testbed.Redis(t).URL()), "w")
	for _, after := range []kv.Revision{"x", "1", "-1-1", "01-1", "99999999999999999999-1", "1-18446744073709551616"} {
		_, err := s.Watch(t.Context(), kv.WatchRequest{After: after})
		check.Code(t, err, fairlead.Invalid)
	}
	_, err := s.Watch(t.Context(), kv.WatchRequest{After: "18446744073709551615-18446744073709551615"})
	check.Code(t, err, fairlead.Compacted)
}

func TestSettlementsAtTheirLimits(t *testing.T) {
	for name, config := range map[string]driver.SubscriptionConfig{
		"group": {Group: "billing", AckDeadline: math.MaxInt64}, "broadcast": {AckDeadline: math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			tt := newTopicTest(t, testbed.Redis(t))
			s := tt.subscribe(config)
			tt.sendBodies(tt.topic(), "a", "b", "c")
			got := tt.receiveBodies(s, "a", "b", "c")
			errs := s.Settle(t.Context(), []driver.Settlement{
				{Token: got[0].Token, Kind: driver.Nack, Delay: -1}, {Token: got[0].Token, Kind: driver.Extend, Delay: math.MinInt64},
				{Token: got[0].Token, Kind: 0}, {Token: got[0].Token, Kind: 9}, {Token: got[0].Token, Kind: 255},
				{Token: got[0].Token, Kind: driver.Extend, Delay: math.MaxInt64},
				{Token: got[1].Token, Kind: driver.Nack, Delay: math.MaxInt64},
				{Token: got[2].Token, Kind: driver.Nack, Delay: 1},
			})
			for i, err := range errs {
				want := fairlead.Code(0)
				if i < 5 {
					want = fairlead.Invalid
				}
				check.Code(t, err, want)
			}
			tt.ack(s, tt.receiveBodies(s, "c")...)
			tt.wantNoDelivery(s)
			tt.ack(s, got[0])
		})
	}
}

func TestReceiveOfNoneTakesOne(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	tt.sendBodies(tt.topic(), "a", "b")
	for _, config := range []driver.SubscriptionConfig{group, everything} {
		s := tt.subscribe(config)
		for _, limit := range []int{0, -1, math.MinInt} {
			got, err := s.Receive(t.Context(), limit)
			if err != nil || len(got) != 1 {
				t.Fatalf("Receive of %d: %d deliveries, %v", limit, len(got), err)
			}
			tt.settle(s, driver.Nack, 0, got...)
		}
	}
}

func TestStartTimesAtTheirLimits(t *testing.T) {
	tt := newTopicTest(t, testbed.Redis(t))
	topic := tt.topic()
	tt.sendBodies(topic, "old")
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(-1<<62, 0), time.UnixMilli(math.MinInt64)} {
		tt.receiveBodies(tt.subscribe(driver.SubscriptionConfig{Start: driver.StartTime, Time: at}), "old")
	}
	for i, at := range []time.Time{time.Unix(1<<62, 0), time.UnixMilli(math.MaxInt64), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		s := tt.subscribe(driver.SubscriptionConfig{Start: driver.StartTime, Time: at})
		tt.sendBodies(topic, fmt.Sprint(i))
		tt.receiveBodies(s, fmt.Sprint(i))
	}
}

func TestSettingsAtTheirLimits(t *testing.T) {
	server := testbed.Redis(t)
	for name, values := range map[string][2]string{ // the least and the greatest
		"dial-timeout": {"10ms", "1h"}, "read-timeout": {"10ms", "1h"}, "write-timeout": {"10ms", "1h"},
		"pool-size": {"2", "10000"}, "probe-interval": {"50ms", "1m"}, "watch-history": {"1", "100000000"},
		"rpc-lease": {"1s", "1h"}, "retention": {"0", "8760h"}, "dedupe-window": {"0", "8760h"},
	} {
		for _, bad := range []string{"-1", "-1s", "", "x", "1e9", "9223372036854775808", "9999999h", "100000001", "8760h1ns"} {
			_, err := fairlead.Open(t.Context(), server.URL()+"?"+name+"="+bad)
			check.Code(t, err, fairlead.Invalid)
			if !strings.Contains(fmt.Sprint(err), name) {
				t.Errorf("%s=%s: the error does not name the setting: %v", name, bad, err)
			}
		}
		for _, good := range values {
			if strings.HasSuffix(name, "timeout") && good == "10ms" {
				continue // valid, but no promise about this machine
			}
			p := open(t, server.URL()+"?"+name+"="+good)
			mustPut(t, openStore(t, p, "s"), "k", "v", time.Hour)
			tt := topicTest{t, p.(driver.Provider), "t"}
			tt.send(tt.topic(), driver.Message{ID: fmt.Sprint(name, good)})
		}
	}
	for _, bad := range []string{"h:0", "h:99999", "h:65536", "[::1", "::1:6379", "h:99999,i"} {
		_, err := fairlead.Open(t.Context(), "redis://"+bad)
		check.Code(t, err, fairlead.Invalid)
	}
	for _, bad := range []string{"/-1", "/65536", "/1/2", "/0x1", "/1.5"} {
		_, err := fairlead.Open(t.Context(), server.URL()+bad)
		check.Code(t, err, fairlead.Invalid)
	}
	// What may be the rest of a password is not shown.
	for _, unescaped := range []string{"redis://user:12/s3cret@host", "redis://user:99999/s3cret@host", "redis://user:0/s3cret@host/1"} {
		_, err := fairlead.Open(t.Context(), unescaped)
		check.Code(t, err, fairlead.Invalid)
		if strings.Contains(fmt.Sprint(err), "s3cret") || strings.Contains(fmt.Sprint(err), "99999") {
			t.Errorf("the error shows a part of the password: %v", err)
		}
	}
}
