package wire

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Where the backend is quick, the reply comes microseconds after the call, and
// the next call as soon after the reply. To park a goroutine for that, and to
// wake a thread and a processor for it, takes several times as long as the call.
// So both ends look for a moment whether something comes, and park then; and
// they do not look while it has not been worth it.
const (
	moment = 100 * time.Microsecond
	most   = 8  // moments in vain until it is not worth it any more
	rarely = 64 // then one read in so many tries again
)

// luck remembers whether it is worth it to look for a moment. The zero value
// hopes for the best.
type luck struct {
	misses int // less hits, from 0 to most
	skips  int
}

// worth reports whether to look.
func (l *luck) worth() bool {
	if l.misses < most {
		return true
	}
	l.skips++
	return l.skips%rarely == 0
}

// note remembers how it went.
func (l *luck) note(hit bool) {
	if hit {
		l.misses = max(l.misses-most/2, 0)
	} else {
		l.misses = min(l.misses+1, most)
	}
}

// looking is how many look at a moment, in all connections. At most half of the
// processors are theirs: who looks on the only one keeps others from working.
var (
	looking atomic.Int32
	seats   = int32(runtime.GOMAXPROCS(0) / 2)
)

// poll reads what comes within a moment. It returns 0 if nothing does, and if
// there is an error, which the next read has as well.
func (f *frames) poll(b []byte) int {
	if !f.luck.worth() {
		return 0
	}
	defer looking.Add(-1)
	if looking.Add(1) > seats {
		return 0
	}
	for began := time.Now(); ; runtime.Gosched() {
		n, err := tryRead(f.conn, b)
		if n > 0 || err != nil || time.Since(began) > moment {
			f.luck.note(n > 0)
			return n
		}
	}
}
