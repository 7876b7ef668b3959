package convert

import (
	"math"
	"reflect"
	"testing"
	"time"

	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	psdriver "fairlead.dev/pubsub/driver"
)

// TestExtremeTimesCross shows that times beyond the range of nanoseconds become the
// nearest time in it, and that the epoch is not taken for no time.
func TestExtremeTimesCross(t *testing.T) {
	for _, c := range []struct{ given, want time.Time }{
		{time.Time{}, time.Time{}},
		{time.Unix(0, 0), time.Unix(0, 1)},
		{time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, math.MaxInt64)},
		{time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(0, math.MinInt64)},
		{time.Unix(1, 2), time.Unix(1, 2)},
	} {
		m := FromSubscription(psdriver.SubscriptionConfig{Time: c.given})
		if got := ToSubscription(m).Time; !got.Equal(c.want) {
			t.Errorf("%v arrives as %v, want %v", c.given, got, c.want)
		}
	}
}

// TestLimitsAreNotNegative shows that no number which a plugin sends becomes a
// negative limit.
func TestLimitsAreNotNegative(t *testing.T) {
	for _, n := range []int64{math.MinInt64, -1, math.MaxInt64} {
		m := &pluginpb.Limits{}
		fields := m.ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			m.ProtoReflect().Set(fields.Get(i), protoInt(n))
		}
		limits := reflect.ValueOf(toLimits(m))
		for i := range limits.NumField() {
			if got, want := limits.Field(i).Int(), max(n, 0); got != want && limits.Field(i).CanInt() {
				t.Errorf("%s is %d of %d, want %d", limits.Type().Field(i).Name, got, n, want)
			}
		}
	}
}

// TestEmptyValuesExist shows that the empty value of a key that exists is not nil,
// and that there is none for a key that does not exist.
func TestEmptyValuesExist(t *testing.T) {
	results := ToResults(cross(t, FromResults([]kvdriver.Result{
		{Current: &kvdriver.Entry{Key: "k", Value: []byte{}, Revision: "1"}}, {Current: &kvdriver.Entry{Key: "k"}},
	})).(*pluginpb.KVResults))
	if v := results[0].Current.Value; v == nil || len(v) > 0 {
		t.Errorf("the present empty value is %#v", v)
	}
	if v := results[1].Current.Value; v != nil {
		t.Errorf("a key that does not exist has the value %#v", v)
	}
	page := ToPage(cross(t, FromPage(kvdriver.Page{Entries: []kvdriver.Entry{{Key: "k", Revision: "1"}}})).(*pluginpb.KVPage))
	if page.Entries[0].Value == nil {
		t.Error("a listed empty value is nil")
	}
	events := ToEvents(cross(t, FromEvents([]kvdriver.Event{{Kind: kvdriver.PutEvent, Key: "k"}, {Kind: kvdriver.DeleteEvent, Key: "k"}})).(*pluginpb.KVEvents))
	if events[0].Value == nil || events[1].Value != nil {
		t.Errorf("the events have the values %#v, %#v", events[0].Value, events[1].Value)
	}
}
