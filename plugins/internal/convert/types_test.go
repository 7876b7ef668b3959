package convert

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"fairlead.dev"
	configdriver "fairlead.dev/config/driver"
	kvdriver "fairlead.dev/kv/driver"
	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
	psdriver "fairlead.dev/pubsub/driver"
	rpcdriver "fairlead.dev/rpc/driver"
)

// TestCodesCross shows that every code arrives as itself, under the same name
// and number in the protocol.
func TestCodesCross(t *testing.T) {
	codes := fairlead.Codes()
	for _, c := range codes {
		m := cross(t, FromError(fairlead.Errorf(c, "why"))).(*pluginpb.Error)
		if err := ToError(m); fairlead.CodeOf(err) != c || !errors.Is(err, c) {
			t.Errorf("%v arrives as %v", c, err)
		}
		want := "CODE_" + strings.ToUpper(strings.ReplaceAll(c.String(), " ", "_"))
		if got := pluginpb.Code_name[int32(c)]; got != want {
			t.Errorf("the number %d is %s in the protocol, want %s", uint8(c), got, want)
		}
	}
	if got := len(pluginpb.Code_name); got != len(codes)+1 { // and CODE_UNSPECIFIED
		t.Errorf("the protocol has %d codes, want %d", got, len(codes)+1)
	}
}

// TestUnknownCodes shows that a plugin's code that the host does not know becomes
// Internal, even if its last eight bits equal a known code.
func TestUnknownCodes(t *testing.T) {
	for _, c := range []pluginpb.Code{0, -1, pluginpb.Code_CODE_INTERNAL + 1, 256 + pluginpb.Code_CODE_CONFLICT, math.MaxInt32} {
		if err := ToError(&pluginpb.Error{Code: c, Message: "why"}); fairlead.CodeOf(err) != fairlead.Internal {
			t.Errorf("the code %d arrives as %v", c, err)
		}
	}
}

// TestKindsAgree shows that the drivers and the protocol use the same numbers:
// they cross unchanged.
func TestKindsAgree(t *testing.T) {
	for _, k := range []struct {
		protocol map[string]int32
		driver   []uint8
		names    string // of the driver's numbers, in the protocol
	}{
		{
			pluginpb.KVOpKind_value,
			numbers(kvdriver.OpGet, kvdriver.OpPut, kvdriver.OpCreate, kvdriver.OpCAS, kvdriver.OpDelete, kvdriver.OpDeleteIf),
			"KV_OP_KIND_ GET PUT CREATE CAS DELETE DELETE_IF",
		},
		{
			pluginpb.KVEventKind_value,
			numbers(kvdriver.PutEvent, kvdriver.DeleteEvent, kvdriver.ExpireEvent),
			"KV_EVENT_KIND_ PUT DELETE EXPIRE",
		},
		{
			pluginpb.PubSubStart_value,
			numbers(psdriver.StartNew, psdriver.StartEarliest, psdriver.StartTime, psdriver.StartPosition),
			"PUB_SUB_START_ NEW EARLIEST TIME POSITION",
		},
		{
			pluginpb.PubSubSettleKind_value,
			numbers(psdriver.Ack, psdriver.Nack, psdriver.Extend, psdriver.Release),
			"PUB_SUB_SETTLE_KIND_ ACK NACK EXTEND RELEASE",
		},
		{
			pluginpb.RPCFrameKind_value,
			numbers(rpcdriver.FrameHeaders, rpcdriver.FrameMessage, rpcdriver.FrameHalfClose, rpcdriver.FrameTrailers, rpcdriver.FrameCredit),
			"RPC_FRAME_KIND_ HEADERS MESSAGE HALF_CLOSE TRAILERS CREDIT",
		},
	} {
		names := strings.Fields(k.names)
		for i, n := range k.driver {
			if got, ok := k.protocol[names[0]+names[i+1]]; !ok || got != int32(n) {
				t.Errorf("%s%s is %d in the protocol, %d in the driver", names[0], names[i+1], got, n)
			}
		}
		if len(k.protocol) != len(k.driver)+1 { // and UNSPECIFIED
			t.Errorf("%s: the protocol has %d numbers, the driver %d", names[0], len(k.protocol)-1, len(k.driver))
		}
	}
}

func numbers[K ~uint8](kinds ...K) (all []uint8) {
	for _, k := range kinds {
		all = append(all, uint8(k))
	}
	return all
}

// TestErrorTexts shows the parts of an error that cross: its code and its text,
// without the parts that the host's portable layer adds itself.
func TestErrorTexts(t *testing.T) {
	for _, e := range []struct {
		err  error
		want string // as the host sees it
	}{
		{fairlead.Errorf(fairlead.Invalid, "the key %q: %w", "k", errors.New("too odd")), `invalid: the key "k": too odd`},
		{&fairlead.Error{Code: fairlead.Unavailable, Err: errors.New("cause")}, "unavailable: cause"},
		{&fairlead.Error{Code: fairlead.Conflict, Op: "kv.Put", Provider: "redis", Message: "why"}, "conflict: why"},
		{fairlead.Conflict, "conflict: conflict"},
		{errors.New("what nobody expected"), "internal: what nobody expected"},
		{context.DeadlineExceeded, "deadline exceeded: context deadline exceeded"},
		{fairlead.Errorf(fairlead.Invalid, "the key \xff\xfe"), "invalid: the key \uFFFD"},
		{fmt.Errorf("the answer \xc3\x28"), "internal: the answer \uFFFD("},
	} {
		m := FromError(e.err)
		if !utf8.ValidString(m.Message) {
			t.Errorf("%q: the text %q is not valid", e.err, m.Message)
		}
		if _, err := proto.Marshal(m); err != nil { // as a gRPC status is
			t.Errorf("%q: %v", e.err, err)
		}
		if got := ToError(cross(t, m).(*pluginpb.Error)); got.Error() != e.want {
			t.Errorf("%q arrives as %q, want %q", e.err, got, e.want)
		}
	}
	if m, err := FromError(nil), ToError(nil); m != nil || err != nil {
		t.Errorf("no error: %v, %v", m, err)
	}
}

// TestDeadlines shows that the time until a deadline crosses, however long it is.
func TestDeadlines(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	for name, d := range map[string]struct {
		deadline    time.Time
		least, most time.Duration // from now to the deadline that arrives
	}{
		"soon":     {time.Now().Add(time.Hour), 59 * time.Minute, 61 * time.Minute},
		"far":      {time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), century, math.MaxInt64},
		"the past": {time.Unix(1, 0), -time.Minute, time.Second},
	} {
		now := time.Now()
		got := in(now, until(now, d.deadline))
		if left := time.Until(got); got.IsZero() || left < d.least || left > d.most {
			t.Errorf("%s: %v arrives as %v", name, d.deadline, got)
		}
	}
	if got := in(time.Now(), until(time.Now(), time.Time{})); !got.IsZero() {
		t.Errorf("none arrives as %v", got)
	}
}

// TestEqualDeadlines shows that equal deadlines stay equal. If they differed, a
// driver could leave out some operations of a call as late, and would store only
// a part of an atomic batch.
func TestEqualDeadlines(t *testing.T) {
	deadline := time.Now().Add(time.Minute)
	ops, msgs := make([]kvdriver.Op, 100), make([]psdriver.Message, 100)
	for i := range ops {
		ops[i].Deadline, msgs[i].Deadline = deadline, deadline
	}
	ops, msgs = ToOps(FromOps(ops)), ToMessages(FromMessages(msgs))
	for i := range ops {
		if !ops[i].Deadline.Equal(ops[0].Deadline) || !msgs[i].Deadline.Equal(msgs[0].Deadline) {
			t.Fatalf("the deadlines of operation and message %d differ from the first ones", i)
		}
	}
}

// TestStatusOfAnyPart shows that a status with only one of its parts crosses. An
// empty status is left out of the message.
func TestStatusOfAnyPart(t *testing.T) {
	for _, s := range []rpcdriver.Status{{}, {Code: 5}, {Message: "why"}, {Details: []byte("details")}} {
		got := toFrames(cross(t, fromFrames([]rpcdriver.Frame{{Kind: rpcdriver.FrameTrailers, Status: s}})).(*pluginpb.RPCSend))[0].Status
		if got.Code != s.Code || got.Message != s.Message || string(got.Details) != string(s.Details) {
			t.Errorf("%+v arrives as %+v", s, got)
		}
	}
}

// TestSettledCrosses shows that every settlement gets its own outcome, and that a
// plugin's outcome for a settlement that was not requested does no harm.
func TestSettledCrosses(t *testing.T) {
	want := []fairlead.Code{0, fairlead.Conflict, 0, fairlead.UnknownOutcome}
	var errs []error
	for _, c := range want {
		errs = append(errs, nil)
		if c != 0 {
			errs[len(errs)-1] = fairlead.Errorf(c, "why")
		}
	}
	m := cross(t, FromSettled(errs)).(*pluginpb.PubSubSettled)
	outcomes, err := ToSettled(m, len(want))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []*pluginpb.PubSubSettleFailure{
		{Index: -1, Error: &pluginpb.Error{}}, {Index: 4, Error: &pluginpb.Error{}}, {Index: math.MaxInt64, Error: &pluginpb.Error{}}, {Index: 1},
	} {
		if _, err := ToSettled(&pluginpb.PubSubSettled{Failures: []*pluginpb.PubSubSettleFailure{bad}}, len(want)); fairlead.CodeOf(err) != fairlead.Internal {
			t.Errorf("the failure %v: got %v, want Internal", bad, err)
		}
	}
	var got []fairlead.Code
	for _, err := range outcomes {
		got = append(got, fairlead.CodeOf(err))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestEmptySettingIsPresent shows that a setting with an empty value crosses: it
// differs from a deleted setting.
func TestEmptySettingIsPresent(t *testing.T) {
	s := FromSnapshot(configdriver.Snapshot{Version: "1", Values: map[string]configdriver.Value{"a": {}}})
	got := ToSnapshot(cross(t, s).(*pluginpb.ConfigState))
	if v, ok := got.Values["a"]; !ok || len(got.Values) != 1 || len(v.Data) != 0 {
		t.Errorf("got %+v", got)
	}
}
