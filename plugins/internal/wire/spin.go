package wire

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Where the backend is quick, the reply follows the call within microseconds,
// and so does the next call. Parking a goroutine, then waking a thread and a
// processor, costs several times as much as the call. Both ends therefore spin
// for a short time before they park: they try nonblocking reads. They stop
// spinning while it brings nothing.
const (
	spinTime      = 100 * time.Microsecond
	maxMisses     = 8  // misses in a row after which a reader stops spinning
	retryInterval = 64 // it then spins again in one read out of this many
)

// spinRecord counts how often spinning paid off. The zero value spins.
type spinRecord struct {
	misses int // from 0 to maxMisses; a hit takes some off
	skips  int
}

// shouldSpin reports whether the next read should spin.
func (r *spinRecord) shouldSpin() bool {
	if r.misses < maxMisses {
		return true
	}
	r.skips++
	return r.skips%retryInterval == 0
}

// record counts a read that spun: a hit if bytes arrived in time.
func (r *spinRecord) record(hit bool) {
	if hit {
		r.misses = max(r.misses-maxMisses/2, 0)
	} else {
		r.misses = min(r.misses+1, maxMisses)
	}
}

// spinning counts the readers that spin now, over all connections. At most half
// of the processors may spin: a reader that spins on the only processor keeps
// other goroutines from working.
var (
	spinning    atomic.Int32
	maxSpinning = int32(runtime.GOMAXPROCS(0) / 2)
)

// spinRead reads the bytes that arrive within spinTime. It returns 0 if none
// do. It also returns 0 after an error: the next blocking read has the same one.
func (f *frames) spinRead(b []byte) int {
	if !f.spin.shouldSpin() {
		return 0
	}
	defer spinning.Add(-1)
	if spinning.Add(1) > maxSpinning {
		return 0
	}
	for began := time.Now(); ; runtime.Gosched() {
		n, err := readNonblocking(f.conn, b)
		if n > 0 || err != nil || time.Since(began) > spinTime {
			f.spin.record(n > 0)
			return n
		}
	}
}
