package wire

import (
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
)

func TestLuckGivesUpAndTriesAgain(t *testing.T) {
	var l luck
	for range most {
		if !l.worth() {
			t.Fatal("gave up too early")
		}
		l.note(false)
	}
	tries := 0
	for range 10 * rarely {
		if l.worth() {
			tries++
			l.note(false)
		}
	}
	if tries != 10 {
		t.Fatalf("%d of %d reads looked for a moment, want 10", tries, 10*rarely)
	}
	for !l.worth() {
	}
	l.note(true)
	if !l.worth() {
		t.Fatal("a hit did not bring hope back")
	}
}

func TestLuckBearsSomeMisses(t *testing.T) {
	var l luck
	for i := range 1000 {
		if !l.worth() {
			t.Fatal("gave up, though one look in four was worth it")
		}
		l.note(i%4 == 0)
	}
}

// What is there is read at once, also in pieces; a connection that has ended
// is left to the read that waits.
func TestPoll(t *testing.T) {
	withSeats(t, 1)
	ours, theirs := socketPair(t)
	f, b := frames{conn: ours}, make([]byte, 3)
	if n := f.poll(b); n != 0 {
		t.Fatalf("read %d bytes of nothing", n)
	}
	if _, err := theirs.Write([]byte("abcd")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"abc", "d"} {
		if n := f.poll(b); string(b[:n]) != want {
			t.Fatalf("read %q, want %q", b[:n], want)
		}
	}
	theirs.Close()
	if n := f.poll(b); n != 0 {
		t.Fatalf("read %d bytes of a connection that has ended", n)
	}
	f.luck = luck{}
	ours.Close()
	if n := f.poll(b); n != 0 || f.luck.misses != 1 {
		t.Fatalf("read %d bytes of a closed connection, %v", n, f.luck)
	}
}

// What cannot be read without waiting is not looked at: in virtual time, no
// moment would ever be over.
func TestPollOfAPipe(t *testing.T) {
	withSeats(t, 1)
	synctest.Test(t, func(t *testing.T) {
		pipe, other := net.Pipe()
		defer pipe.Close()
		defer other.Close()
		if n := (&frames{conn: pipe}).poll(make([]byte, 1)); n != 0 {
			t.Fatalf("read %d bytes of an empty pipe", n)
		}
	})
}

// Connections that look at the same time leave processors to the rest.
func TestPollLeavesProcessors(t *testing.T) {
	withSeats(t, 2)
	ours, theirs := socketPair(t)
	if _, err := theirs.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	f, b := frames{conn: ours}, make([]byte, 1)
	looking.Add(seats)
	n := f.poll(b)
	looking.Add(-seats)
	if n != 0 || f.luck != (luck{}) {
		t.Fatalf("looked while all seats were taken: %d bytes, %v", n, f.luck)
	}
	if n := f.poll(b); n != 1 {
		t.Fatalf("read %d bytes, want 1", n)
	}
}

func withSeats(t *testing.T, n int32) {
	t.Helper()
	before := seats
	t.Cleanup(func() { seats = before })
	seats = n
}

func socketPair(t *testing.T) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if ours, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if theirs, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}
