package nats

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/internal/dev/check"
	"fairlead.dev/rpc/driver"
)

func someFrames() []driver.Frame {
	fields := []driver.Field{{Name: "a", Value: []byte("1")}, {Name: "a", Value: []byte{}}, {Name: "b-bin", Value: []byte{0, 255}}}
	return []driver.Frame{
		{Kind: driver.FrameHeaders, Metadata: fields},
		{Kind: driver.FrameMessage, Payload: []byte("payload")},
		{Kind: driver.FrameMessage, Payload: []byte{}},
		{Kind: driver.FrameCredit, Credit: 5 << 20},
		{Kind: driver.FrameHalfClose},
		{Kind: driver.FrameTrailers, Metadata: fields, Status: driver.Status{Code: 5, Message: "é", Details: []byte("d")}},
	}
}

func TestFrameEncoding(t *testing.T) {
	want := someFrames()
	got, err := parseFrames(appendFrames(nil, want))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatalf("%v %s", err, diff)
	}
	call := driver.Call{Method: "/s/m", Metadata: want[0].Metadata, Timeout: time.Second}
	gotCall, first, err := parseOpen(appendFrames(appendCall(nil, call), want))
	if diff := cmp.Diff(call, gotCall) + cmp.Diff(want, first); err != nil || diff != "" {
		t.Fatalf("%v %s", err, diff)
	}
}

// A receiver that appends to one payload must not write into the next.
func TestFramesShareNoRoom(t *testing.T) {
	frames, err := parseFrames(appendFrames(nil, []driver.Frame{
		{Kind: driver.FrameMessage, Payload: []byte("a")}, {Kind: driver.FrameMessage, Payload: []byte("b")},
	}))
	check.NoError(t, err)
	_ = append(frames[0].Payload, "more"...)
	if string(frames[1].Payload) != "b" {
		t.Fatalf("the second payload is %q", frames[1].Payload)
	}
}

func FuzzParsePacket(f *testing.F) {
	f.Add(appendPacket(nil, packet{number: 3, kind: packetFrames, body: appendFrames(nil, someFrames())}))
	f.Add(appendPacket(nil, packet{kind: packetOpen, body: appendCall(nil, driver.Call{Method: "/s/m"})}))
	f.Add([]byte{0, 'F', 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parsePacket(b)
		if err != nil {
			return
		}
		_, _ = parseFrames(k.body)
		_, _, _ = parseOpen(k.body)
	})
}
