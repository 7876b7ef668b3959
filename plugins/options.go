package plugins

import (
	"log/slog"
	"time"

	"fairlead.dev"
	"fairlead.dev/plugins/internal/process"
)

// Option configures a [Host].
type Option func(*options) error

// Transport is the transport for the calls of a plugin.
type Transport string

// The transports.
const (
	Frames Transport = "frames" // frames on a Unix socket where the plugin offers one, else Stream
	Stream Transport = "stream" // a gRPC stream
)

func (t Transport) check() error {
	if t != Frames && t != Stream {
		return invalidOption("%q is not a transport; accepted: %s, %s", t, Frames, Stream)
	}
	return nil
}

// RestartPolicy says when a plugin that has ended is restarted.
type RestartPolicy struct {
	// The pause before a restart doubles from MinPause to MaxPause with each
	// start within Window. Half of the pause is random.
	MinPause, MaxPause time.Duration
	// After MaxStarts starts within Window the plugin is in a crash loop. It is
	// restarted after Cooldown, or by the next Open. Window does not count the
	// time that a start takes. A start that takes 60 s is given up, and is a
	// crash loop by itself.
	MaxStarts        int
	Window, Cooldown time.Duration
}

type options struct {
	folders        []string // nil: the result of Folders at each look-up
	log            *slog.Logger
	socketDir      string
	transport      Transport
	restart        RestartPolicy
	healthInterval time.Duration // between health checks
	healthTimeout  time.Duration // of a health check
	idleTime       time.Duration
}

func defaultOptions() options {
	return options{
		log:       slog.Default(),
		transport: Frames,
		restart: RestartPolicy{
			MinPause: 50 * time.Millisecond, MaxPause: 10 * time.Second,
			MaxStarts: 5, Window: 30 * time.Second, Cooldown: 30 * time.Second,
		},
		healthInterval: 2 * time.Second,
		healthTimeout:  5 * time.Second,
	}
}

// WithFolders sets the plugin folders, the most important first. By default the
// host calls [Folders] each time it looks for a plugin. No folder is an error.
func WithFolders(dirs ...string) Option {
	return func(o *options) error {
		if len(dirs) == 0 {
			return invalidOption("WithFolders needs at least one folder; for the default folders, omit the option")
		}
		o.folders = dirs
		return nil
	}
}

// WithLogger sets the logger for the output of plugins and for changes of their
// states. The default is slog.Default. A nil logger is an error.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error {
		if l == nil {
			return invalidOption("WithLogger needs a logger, got nil; for slog.Default, omit the option")
		}
		o.log = l
		return nil
	}
}

// WithSocketDir sets the directory in which the host creates a folder for the
// sockets of each plugin. Only this user may enter these folders. The path must be
// absolute and have at most 60 bytes. The default is XDG_RUNTIME_DIR, or /tmp
// where that is not usable.
func WithSocketDir(dir string) Option {
	return func(o *options) error {
		if err := process.CheckSocketDir(dir); err != nil {
			return invalidOption("WithSocketDir: %w", err)
		}
		o.socketDir = dir
		return nil
	}
}

// WithTransport sets the transport for calls. The default is [Frames]. Other values
// than [Frames] and [Stream] are an error.
func WithTransport(t Transport) Option {
	return func(o *options) error {
		o.transport = t
		return t.check()
	}
}

// WithRestart sets when plugins are restarted. By default the host pauses for 50 ms
// to 10 s. Five starts within 30 s are a crash loop, after which the host pauses
// for 30 s. All fields of the policy must be set.
func WithRestart(p RestartPolicy) Option {
	return func(o *options) error {
		switch {
		case p.MinPause <= 0 || p.MaxPause < p.MinPause:
			return invalidOption("WithRestart: MinPause is %v and MaxPause %v; MinPause must be positive, and MaxPause not less", p.MinPause, p.MaxPause)
		case p.MaxStarts < 1 || p.Window <= 0 || p.Cooldown <= 0:
			return invalidOption("WithRestart: MaxStarts is %d, Window %v, Cooldown %v; all must be positive", p.MaxStarts, p.Window, p.Cooldown)
		}
		o.restart = p
		return nil
	}
}

// WithHealthCheck sets the interval between health checks of a plugin, and the
// timeout of a check. A plugin that fails a check is killed and restarted. The
// defaults are 2 s and 5 s. Both must be positive.
func WithHealthCheck(interval, timeout time.Duration) Option {
	return func(o *options) error {
		if interval <= 0 || timeout <= 0 {
			return invalidOption("WithHealthCheck: interval is %v and timeout %v; both must be positive", interval, timeout)
		}
		o.healthInterval, o.healthTimeout = interval, timeout
		return nil
	}
}

// WithIdle sets how long a plugin keeps running after its last provider is closed.
// The default is 0: the plugin ends at once. A negative duration is an error.
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
