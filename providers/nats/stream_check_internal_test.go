package nats

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"fairlead.dev"
	"fairlead.dev/internal/dev/check"
	"fairlead.dev/internal/dev/testbed"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/pubsub/driver"
)

// configOf returns a configuration as the server gets it, with changes.
func configOf(t *testing.T, config any, changes map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(config)
	check.NoError(t, err)
	all := map[string]any{}
	check.NoError(t, json.Unmarshal(text, &all))
	maps.Copy(all, changes)
	return all
}

func wantRefused(t *testing.T, what string, err error, says string) {
	t.Helper()
	if fairlead.CodeOf(err) != fairlead.Invalid || !strings.Contains(fmt.Sprint(err), says) {
		t.Errorf("%s: %v; want Invalid, and the words %q", what, err, says)
	}
}

// A stream with a setting that takes a guarantee away is refused. The server has
// each of them.
func TestStreamSettings(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	other := p.newStream(kindPubSub, "other", formPubSub)
	check.NoError(t, p.callAPI(t.Context(), "STREAM.CREATE."+other.Name, other, nil, true))
	create := func(t *testing.T, want streamConfig, changes map[string]any) {
		t.Helper()
		check.NoError(t, p.callAPI(t.Context(), "STREAM.CREATE."+want.Name, configOf(t, want, changes), nil, true))
	}
	for i, c := range []struct {
		changes map[string]any
		says    string
	}{
		{map[string]any{"persist_mode": "async", "allow_atomic": false}, "persist_mode async"},
		{map[string]any{"storage": "memory"}, "memory"},
		{map[string]any{"max_age": int64(time.Hour)}, "max_age"},
		{map[string]any{"max_msgs": 10}, "max_msgs 10"},
		{map[string]any{"max_bytes": 1 << 20}, "max_bytes"},
		{map[string]any{"max_msg_size": 1000}, "max_msg_size 1000"},
		{map[string]any{"no_ack": true, "allow_atomic": false}, "no_ack"},
		{map[string]any{"deny_delete": true}, "deny_delete"},
		{map[string]any{"deny_purge": true, "allow_rollup_hdrs": false, "subject_delete_marker_ttl": 0}, "deny_purge"},
		{map[string]any{"sources": []any{map[string]any{"name": other.Name}}}, "sources"},
		{map[string]any{"consumer_limits": map[string]any{"inactive_threshold": int64(time.Hour)}}, "inactive_threshold"},
		{map[string]any{"mirror": map[string]any{"name": other.Name}, "subjects": nil, "discard": "old", "allow_atomic": false, "allow_msg_ttl": false,
			"allow_rollup_hdrs": false, "subject_delete_marker_ttl": 0, "duplicate_window": 0}, "not one of this provider"},
		{map[string]any{"subject_transform": map[string]any{"src": ">", "dest": "elsewhere.>"}}, "subject_transform"},
		{map[string]any{"allow_msg_counter": true, "allow_msg_ttl": false, "subject_delete_marker_ttl": 0}, "allow_msg_counter"},
		{map[string]any{"retention": "workqueue", "subject_delete_marker_ttl": 0}, "retention workqueue"},
		{map[string]any{"metadata": nil}, "not one of this provider"},
	} {
		t.Run(c.says, func(t *testing.T) {
			name := fmt.Sprintf("s%d", i)
			create(t, p.newStoreStream(kindKV, name, formKV), c.changes)
			_, err := p.OpenStore(t.Context(), kvdriver.StoreConfig{Name: name})
			wantRefused(t, "a store", err, c.says)
			want := p.newStream(kindPubSub, name, formPubSub)
			want.Duplicates = p.config.window
			changes := maps.Clone(c.changes)
			delete(changes, "allow_rollup_hdrs")
			create(t, want, changes)
			_, err = p.OpenTopic(t.Context(), driver.TopicConfig{Name: name})
			wantRefused(t, "a topic", err, c.says)
		})
	}
	for i, c := range []struct {
		changes map[string]any
		says    string
	}{
		{map[string]any{"allow_msg_ttl": false, "subject_delete_marker_ttl": 0}, "allow_msg_ttl"},
		{map[string]any{"allow_atomic": false}, "allow_atomic"},
		{map[string]any{"subject_delete_marker_ttl": 0}, "subject_delete_marker_ttl"},
		{map[string]any{"max_msgs_per_subject": 2}, "max_msgs_per_subject 2"},
		{map[string]any{"discard": "new", "discard_new_per_subject": true}, "discard_new_per_subject"},
	} {
		name := fmt.Sprintf("kv%d", i)
		create(t, p.newStoreStream(kindKV, name, formKV), c.changes)
		_, err := p.OpenStore(t.Context(), kvdriver.StoreConfig{Name: name})
		wantRefused(t, c.says, err, c.says)
	}
	for i, c := range []struct {
		changes map[string]any
		says    string
	}{
		{map[string]any{"retention": "workqueue"}, "retention"},
		{map[string]any{"retention": "interest"}, "retention"},
		{map[string]any{"max_msgs_per_subject": 1}, "max_msgs_per_subject 1"},
		{map[string]any{"duplicate_window": int64(time.Second)}, "dedupe-window"},
	} {
		name := fmt.Sprintf("ps%d", i)
		create(t, p.newStream(kindPubSub, name, formPubSub), c.changes)
		_, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: name})
		wantRefused(t, c.says, err, c.says)
	}
	// A bound that refuses new messages loses nothing.
	create(t, p.newStoreStream(kindKV, "bounded", formKV), map[string]any{"max_bytes": 1000, "discard": "new"})
	s, err := p.OpenStore(t.Context(), kvdriver.StoreConfig{Name: "bounded"})
	check.NoError(t, err)
	err = s.Do(t.Context(), []kvdriver.Op{{Kind: kvdriver.OpPut, Key: "k", Value: make([]byte, 2000)}})[0].Err
	if fairlead.CodeOf(err) != fairlead.Unavailable || !strings.Contains(err.Error(), "the stream is full") {
		t.Errorf("a stream that is full: %v", err)
	}
}

// Settings that a stream can only get later are refused when it is opened again.
func TestUpdatedStreamSettings(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	for i, c := range []struct{ setting, value, says string }{
		{"subjects", `["fairlead.elsewhere.N.>", "fairlead.more.N.>"]`, "other subjects"},
		{"sealed", "true", "sealed"},
	} {
		name := fmt.Sprintf("s%d", i)
		s, err := p.OpenStore(t.Context(), kvdriver.StoreConfig{Name: name})
		check.NoError(t, err)
		tp, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: name})
		check.NoError(t, err)
		for k, stream := range []string{s.(*storeHandle).store().stream, tp.(*publisher).stream} {
			check.NoError(t, p.updateStream(t.Context(), stream, func(config map[string]json.RawMessage) error {
				config[c.setting] = json.RawMessage(strings.ReplaceAll(c.value, "N", fmt.Sprint(k)))
				return nil
			}))
		}
		_, err = p.OpenStore(t.Context(), kvdriver.StoreConfig{Name: name})
		wantRefused(t, "a store", err, c.says)
		_, err = p.OpenTopic(t.Context(), driver.TopicConfig{Name: name})
		wantRefused(t, "a topic", err, c.says)
	}
}

// A setting that is changed while a stream or a group is open is logged, once.
func TestChangedSettingIsLogged(t *testing.T) {
	var log bytes.Buffer
	p := openProvider(t, testbed.NATS(t).URL()+"?probe-interval=1m", // the test does what the probe does
		fairlead.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	store := func(name string) string {
		s, err := p.OpenStore(t.Context(), kvdriver.StoreConfig{Name: name})
		check.NoError(t, err)
		return s.(*storeHandle).store().stream
	}
	aged, indirect := store("s"), store("direct")
	topic, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "t"})
	check.NoError(t, err)
	group, err := p.OpenSubscription(t.Context(), driver.SubscriptionConfig{Topic: "t", Group: "g", AckDeadline: time.Minute})
	check.NoError(t, err)
	p.checkOpenStreams()
	if log.Len() > 0 {
		t.Errorf("logged without a change: %s", &log)
	}
	update := func(stream, setting, value string) {
		check.NoError(t, p.updateStream(t.Context(), stream, func(config map[string]json.RawMessage) error {
			config[setting] = json.RawMessage(value)
			return nil
		}))
	}
	update(aged, "max_age", "3600000000000")
	update(topic.(*publisher).stream, "max_age", "3600000000000")
	update(indirect, "allow_direct", "false")
	s := group.(*subscription)
	request := map[string]any{"stream_name": s.stream, "config": configOf(t, s.config(), map[string]any{"max_deliver": 3})}
	check.NoError(t, p.callAPI(t.Context(), "CONSUMER.CREATE."+s.stream+"."+s.consumer, request, nil, true))
	p.checkOpenStreams()
	p.checkOpenStreams()
	for says, times := range map[string]int{"max_age": 2, "allow_direct": 1, "max_deliver 3": 1} {
		if n := strings.Count(log.String(), says); n != times {
			t.Errorf("%d warnings about %s, want %d: %s", n, says, times, &log)
		}
	}
}

// A group that fewer servers hold than the topic is refused.
func TestConsumerOnFewerServers(t *testing.T) {
	p := openProvider(t, testbed.NATSCluster(t, 3).URL()+"?replicas=3")
	topic, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "t"})
	check.NoError(t, err)
	group := &subscription{topic: topic.(*publisher).topic, group: "g", consumer: groupConsumer("g")}
	request := map[string]any{"stream_name": group.stream, "config": configOf(t, group.config(), map[string]any{"num_replicas": 1})}
	check.NoError(t, p.callAPI(t.Context(), "CONSUMER.CREATE."+group.stream+"."+group.consumer, request, nil, true))
	_, err = p.OpenSubscription(t.Context(), driver.SubscriptionConfig{Topic: "t", Group: "g", AckDeadline: time.Minute})
	wantRefused(t, "a group", err, "num_replicas 1")
}

// A group whose consumer has a setting that takes a guarantee away is refused.
func TestConsumerSettings(t *testing.T) {
	p := openProvider(t, testbed.NATS(t).URL())
	topic, err := p.OpenTopic(t.Context(), driver.TopicConfig{Name: "t"})
	check.NoError(t, err)
	for i, c := range []struct {
		changes map[string]any
		says    string
	}{
		{map[string]any{"ack_policy": "all"}, "ack_policy all"},
		{map[string]any{"max_deliver": 3}, "max_deliver 3"},
		{map[string]any{"filter_subject": "fairlead.>"}, "a filter"},
		{map[string]any{"headers_only": true}, "headers_only"},
		{map[string]any{"mem_storage": true}, "mem_storage"},
		{map[string]any{"inactive_threshold": int64(time.Hour)}, "inactive_threshold"},
		{map[string]any{"ack_wait": int64(time.Second)}, "ack_wait 1s"},
		{map[string]any{"backoff": []int64{int64(time.Second)}, "max_deliver": 0}, "ack_wait 1s"},
		{map[string]any{"backoff": []int64{int64(20 * time.Second)}, "ack_wait": int64(20 * time.Second)}, "backoff"},
		{map[string]any{"replay_policy": "original"}, "replay_policy original"},
		{map[string]any{"max_ack_pending": 100}, "max_ack_pending 100"},
		{map[string]any{"max_waiting": 10}, "max_waiting 10"},
		{map[string]any{"deliver_subject": "push.%d", "max_waiting": 0}, "deliver_subject"},
		{map[string]any{"deliver_subject": "push.%d", "max_waiting": 0, "rate_limit_bps": 1000}, "rate_limit_bps"},
		{map[string]any{"priority_groups": []string{"a"}, "priority_policy": "overflow"}, "priority_groups"},
		{map[string]any{"filter_subjects": []string{"fairlead.a", "fairlead.b"}}, "a filter"},
		{map[string]any{"max_batch": 1}, "max_batch 1"},
		{map[string]any{"max_expires": int64(time.Second)}, "max_expires 1s"},
	} {
		group := &subscription{topic: topic.(*publisher).topic, group: "g", consumer: groupConsumer(fmt.Sprintf("g%d", i))}
		request := map[string]any{"stream_name": group.stream, "config": configOf(t, group.config(), c.changes)}
		check.NoError(t, p.callAPI(t.Context(), "CONSUMER.CREATE."+group.stream+"."+group.consumer, request, nil, true))
		_, err := p.OpenSubscription(t.Context(), driver.SubscriptionConfig{Topic: "t", Group: fmt.Sprintf("g%d", i), AckDeadline: time.Minute})
		wantRefused(t, c.says, err, c.says)
	}
}
