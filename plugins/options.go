package plugins

import (
	"log/slog"
	"time"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/process"
)

// Option changes a [Host].
type Option func(*options) error

// Transport says over what the calls of a plugin travel.
type Transport string

// The transports.
const (
	Frames Transport = "frames" // a Unix socket, where the plugin offers one
	Stream Transport = "stream" // a gRPC stream
)

// RestartPolicy says how a plugin that has ended is started again.
type RestartPolicy struct {
	// The pause before a start doubles from MinPause to MaxPause with each
	// start within the window. Half of it is random.
	MinPause, MaxPause time.Duration
	// After MaxStarts within Window the plugin is in a crash loop: it is
	// started again after Cooldown, or when somebody opens it.
	MaxStarts        int
	Window, Cooldown time.Duration
}

type options struct {
	folders   []string // nil: see Folders, at each look-up
	log       *slog.Logger
	socketDir string
	transport Transport
	restart   RestartPolicy
	healthInterval     time.Duration // between health checks
	healthTimeout   time.Duration // of a health check
	idleTime      time.Duration
}

func defaultOptions() options {
	return options{
		log:       slog.Default(),
		transport: Frames,
		restart: RestartPolicy{
			MinPause: 50 * time.Millisecond, MaxPause: 10 * time.Second,
			MaxStarts: 5, Window: 30 * time.Second, Cooldown: 30 * time.Second,
		},
		healthInterval:   2 * time.Second,
		healthTimeout: 5 * time.Second,
	}
}

// WithFolders sets the plugin folders, the first the most important. The
// default is what [Folders] returns when a plugin is looked for.
func WithFolders(dirs ...string) Option {
	return func(o *options) error {
		if len(dirs) == 0 {
			return invalidOption("WithFolders needs at least one folder; leave the option out for the default folders")
		}
		o.folders = dirs
		return nil
	}
}

// WithLogger sets the logger for what plugins write and for changes of their
// states. The default is slog.Default.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error {
		if l == nil {
			return invalidOption("WithLogger needs a logger, got nil; leave the option out for slog.Default")
		}
		o.log = l
		return nil
	}
}

// WithSocketDir sets where the folders for the plugins' sockets are made, each
// of which only this user may enter. Its path is absolute and of at most 60
// bytes. The default is XDG_RUNTIME_DIR, or else /tmp.
func WithSocketDir(dir string) Option {
	return func(o *options) error {
		if err := process.CheckSocketDir(dir); err != nil {
			return invalidOption("WithSocketDir: %w", err)
		}
		o.socketDir = dir
		return nil
	}
}

// WithTransport sets how calls travel. The default is [Frames].
func WithTransport(t Transport) Option {
	return func(o *options) error {
		if t != Frames && t != Stream {
			return invalidOption("WithTransport: %q is no transport; accepted: %s, %s", t, Frames, Stream)
		}
		o.transport = t
		return nil
	}
}

// WithRestart sets how plugins are started again. The default pauses 50 ms to
// 10 s, and takes five starts within 30 s for a crash loop, which it looks at
// again after 30 s.
func WithRestart(p RestartPolicy) Option {
	return func(o *options) error {
		switch {
		case p.MinPause <= 0 || p.MaxPause < p.MinPause:
			return invalidOption("WithRestart: MinPause is %v and MaxPause %v; they have to be positive and in this order", p.MinPause, p.MaxPause)
		case p.MaxStarts < 1 || p.Window <= 0 || p.Cooldown <= 0:
			return invalidOption("WithRestart: MaxStarts is %d, Window %v, Cooldown %v; they have to be positive", p.MaxStarts, p.Window, p.Cooldown)
		}
		o.restart = p
		return nil
	}
}

// WithHealthCheck sets how often a plugin is asked whether it is well, and how
// long its answer may take before it is killed and started anew. The defaults
// are 2 s and 5 s.
func WithHealthCheck(every, timeout time.Duration) Option {
	return func(o *options) error {
		if every <= 0 || timeout <= 0 {
			return invalidOption("WithHealthCheck: every is %v and timeout %v; they have to be positive", every, timeout)
		}
		o.healthInterval, o.healthTimeout = every, timeout
		return nil
	}
}

// WithIdle sets how long a plugin that nobody uses is kept running. The
// default, 0, ends it when the last of its providers is closed.
func WithIdle(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 {
			return invalidOption("WithIdle: %v is negative; 0 ends a plugin at once", d)
		}
		o.idleTime = d
		return nil
	}
}

func invalidOption(format string, args ...any) error {
	return fairlead.Errorf(fairlead.Invalid, format, args...)
}
