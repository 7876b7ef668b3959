package etcd

import (
	"time"

	"fairlead.dev"
	"fairlead.dev/kv/driver"
)

// WatchedUpTo returns the revision up to which a watcher has everything.
func WatchedUpTo(w driver.Watcher) int64 { return w.(*watcher).after.Load() }

// SetProgress sets how often the watchers of a provider ask for their progress.
func SetProgress(p fairlead.Provider, every time.Duration) { p.(*provider).progressEvery = every }
