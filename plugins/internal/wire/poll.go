package wire

import (
	"runtime"
	"time"

	"fairlead.dev/plugins/internal/pluginpb/fairlead/plugin/v1"
)

// A lone caller's reply comes a few microseconds after the call, and its next
// call as soon after the reply, if the backend is quick. To park a goroutine
// for that, and to wake a thread and a processor for it, takes several times as
// long as the call. So both ends look for a moment whether something comes, and
// park then; and they do not look while it has not been worth it.
const (
	moment = 20 * time.Microsecond
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

// parallel: with one processor, who looks keeps the other end from working.
var parallel = runtime.NumCPU() > 1

// poll reads what comes within a moment. It returns 0 if nothing does, and if
// there is an error, which the next read has as well.
func (f *frames) poll(b []byte) int {
	if !parallel || !f.luck.worth() {
		return 0
	}
	for began := time.Now(); ; {
		n, err := tryRead(f.conn, b)
		if n > 0 || err != nil || time.Since(began) > moment {
			f.luck.note(n > 0)
			return n
		}
		runtime.Gosched()
	}
}

// lone reports whether calls look as those of one caller that waits for each:
// those of several are gathered.
func lone(calls []*pluginpb.Call) bool {
	if len(calls) != 1 {
		return false
	}
	switch b := calls[0].Body.(type) {
	case *pluginpb.Call_KvDo:
		return len(b.KvDo.GetOps()) == 1
	case *pluginpb.Call_PubsubSend:
		return len(b.PubsubSend.GetMessages()) == 1
	default:
		return false
	}
}
