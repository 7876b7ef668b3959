package config_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"fairlead.dev/config"
)

// BenchmarkGet compares Get with the operation that it is built on and with the
// code that it replaces, interleaved in one run, while the settings keep
// changing. It reports the best round of each in nanoseconds, and the ratios.
func BenchmarkGet(b *testing.B) {
	p := open(b, "mem://")
	s := openSource(b, p)
	w := watch[pair](b, config.From(p, "app"))
	var plain atomic.Pointer[pair]
	plain.Store(&pair{})
	locked := &lockedKoanf{}
	locked.load(b, 0)
	stop := make(chan struct{})
	var updater sync.WaitGroup
	updater.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				set(b, s, both(i)...)
				plain.Store(&pair{Left: i, Right: i})
				locked.load(b, i)
			}
		}
	})
	ways := []func() int{
		func() int { return w.Get().Left },
		func() int { return plain.Load().Left },
		locked.left,
	}
	best := make([]float64, len(ways))
	const rounds, calls = 20, 20_000
	for b.Loop() {
		for round := range rounds {
			for i, way := range ways {
				if ns := perCall(way, calls); best[i] == 0 || ns < best[i] && round > 0 {
					best[i] = ns
				}
			}
		}
	}
	close(stop)
	updater.Wait()
	b.ReportMetric(best[0], "get-ns")
	b.ReportMetric(best[1], "atomic.Pointer-ns")
	b.ReportMetric(best[2], "koanf+mutex-ns")
	b.ReportMetric(best[0]/best[1], "get/atomic.Pointer")
	b.ReportMetric(best[2]/best[0], "koanf+mutex/get")
}

// perCall returns the time that a call takes in each of 8 concurrent readers.
func perCall(f func() int, calls int) float64 {
	const readers = 8
	var wg sync.WaitGroup
	var sink atomic.Int64
	start := time.Now()
	for range readers {
		wg.Go(func() {
			sum := 0
			for range calls {
				sum += f()
			}
			sink.Add(int64(sum))
		})
	}
	wg.Wait()
	return float64(time.Since(start).Nanoseconds()) / float64(calls*readers)
}

type lockedKoanf struct {
	mu sync.RWMutex
	k  *koanf.Koanf
}

func (l *lockedKoanf) load(b *testing.B, n int) {
	k := koanf.New(".")
	if err := k.Load(confmap.Provider(map[string]any{"left": n, "right": n}, "."), nil); err != nil {
		b.Error(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.k = k
}

func (l *lockedKoanf) left() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.k.Int("left")
}
