package wire

import (
	"net"
	"testing"
	"testing/synctest"
)

func TestSpinningStopsAndIsRetried(t *testing.T) {
	var r spinRecord
	for range maxMisses {
		if !r.shouldSpin() {
			t.Fatalf("stopped spinning before %d misses", maxMisses)
		}
		r.record(false)
	}
	tries := 0
	for range 10 * retryInterval {
		if r.shouldSpin() {
			tries++
			r.record(false)
		}
	}
	if tries != 10 {
		t.Fatalf("%d of %d reads spun, want 10", tries, 10*retryInterval)
	}
	for !r.shouldSpin() {
	}
	r.record(true)
	if !r.shouldSpin() {
		t.Fatal("a hit did not resume spinning")
	}
}

func TestSpinningToleratesMisses(t *testing.T) {
	var r spinRecord
	for i := range 1000 {
		if !r.shouldSpin() {
			t.Fatal("stopped spinning, though one spin in four was a hit")
		}
		r.record(i%4 == 0)
	}
}

// Bytes that have arrived are read at once, also in pieces. The end of the
// connection is left to the blocking read.
func TestSpinRead(t *testing.T) {
	withMaxSpinning(t, 1)
	ours, theirs := newSocketPair(t)
	f, b := frames{conn: ours}, make([]byte, 3)
	if n := f.spinRead(b); n != 0 {
		t.Fatalf("read %d bytes though none were sent", n)
	}
	if _, err := theirs.Write([]byte("abcd")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"abc", "d"} {
		if n := f.spinRead(b); string(b[:n]) != want {
			t.Fatalf("read %q, want %q", b[:n], want)
		}
	}
	theirs.Close()
	if n := f.spinRead(b); n != 0 {
		t.Fatalf("read %d bytes of a connection that has ended", n)
	}
	f.spin = spinRecord{}
	ours.Close()
	if n := f.spinRead(b); n != 0 || f.spin.misses != 1 {
		t.Fatalf("read %d bytes of a closed connection, %v", n, f.spin)
	}
}

// A connection that has no nonblocking read does not spin: in virtual time, a
// spin would never end.
func TestSpinReadOfAPipe(t *testing.T) {
	withMaxSpinning(t, 1)
	synctest.Test(t, func(t *testing.T) {
		pipe, other := net.Pipe()
		defer pipe.Close()
		defer other.Close()
		if n := (&frames{conn: pipe}).spinRead(make([]byte, 1)); n != 0 {
			t.Fatalf("read %d bytes of an empty pipe", n)
		}
	})
}

// Connections that spin at the same time leave processors to other goroutines.
func TestSpinningLeavesProcessors(t *testing.T) {
	withMaxSpinning(t, 2)
	ours, theirs := newSocketPair(t)
	if _, err := theirs.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	f, b := frames{conn: ours}, make([]byte, 1)
	spinning.Add(maxSpinning)
	n := f.spinRead(b)
	spinning.Add(-maxSpinning)
	if n != 0 || f.spin != (spinRecord{}) {
		t.Fatalf("spun while the maximum number of readers did: %d bytes, %v", n, f.spin)
	}
	if n := f.spinRead(b); n != 1 {
		t.Fatalf("read %d bytes, want 1", n)
	}
}

func withMaxSpinning(t *testing.T, n int32) {
	t.Helper()
	before := maxSpinning
	t.Cleanup(func() { maxSpinning = before })
	maxSpinning = n
}
