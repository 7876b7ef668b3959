package redis

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// vendorLog passes the log lines of go-redis on to slog. It serves the whole
// process, because go-redis has only one logger.
type vendorLog struct{}

func (vendorLog) Printf(ctx context.Context, format string, args ...any) {
	slog.Default().DebugContext(ctx, "go-redis", slog.Any("message", lazyText{format, args}))
}

var redirectVendorLog = sync.OnceFunc(func() { goredis.SetLogger(vendorLog{}) })

// lazyText is formatted only when it is printed.
type lazyText struct {
	format string
	args   []any
}

func (t lazyText) String() string { return withoutArguments(fmt.Sprintf(t.format, t.args...)) }
