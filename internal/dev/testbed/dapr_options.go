package testbed

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
)

// DaprOption changes how a sidecar is set up.
type DaprOption func(*daprConfig) error

type daprConfig struct {
	appID      string
	appPort    int
	token      string
	names      string // the file of the name resolution; empty: a separate one
	components []daprComponent
	more       []string // flags
}

// daprComponent is a component of the runtime.
type daprComponent struct {
	name, kind string
	metadata   map[string]string
}

// DaprApp sets the app's id. It is "app" by default.
func DaprApp(id string) DaprOption {
	return func(c *daprConfig) error {
		c.appID = id
		return nil
	}
}

// DaprAppPort says that the app serves gRPC on a port of 127.0.0.1.
func DaprAppPort(port int) DaprOption {
	return func(c *daprConfig) error {
		c.appPort = port
		return nil
	}
}

// DaprToken makes the API demand a token of its callers.
func DaprToken(token string) DaprOption {
	return func(c *daprConfig) error {
		c.token = token
		return nil
	}
}

// DaprNames sets the file by which sidecars find each other. Sidecars share one
// file to call each other's apps.
func DaprNames(file string) DaprOption {
	return func(c *daprConfig) error {
		c.names = file
		return nil
	}
}

// DaprArgs adds flags: "--max-body-size", "16Mi".
func DaprArgs(args ...string) DaprOption {
	return func(c *daprConfig) error {
		c.more = append(c.more, args...)
		return nil
	}
}

// DaprComponent adds a component of a kind, for example "state.redis".
func DaprComponent(name, kind string, metadata map[string]string) DaprOption {
	return func(c *daprConfig) error {
		all := map[string]string{}
		for k, v := range metadata {
			all[k] = v
		}
		c.components = append(c.components, daprComponent{name, kind, all})
		return nil
	}
}

// DaprMetadata sets an item of the metadata of a component that was added
// before.
func DaprMetadata(component, item, value string) DaprOption {
	return func(c *daprConfig) error {
		i := slices.IndexFunc(c.components, func(k daprComponent) bool { return k.name == component })
		if i < 0 {
			return fmt.Errorf("a Dapr sidecar has no component %q", component)
		}
		c.components[i].metadata[item] = value
		return nil
	}
}

// DaprRedis adds DaprState, DaprPubSub and DaprConfig on a Redis server
// ("host:port") that demands no password.
func DaprRedis(addr string) DaprOption {
	on := map[string]string{"redisHost": addr}
	return daprAll(
		DaprComponent(DaprState, "state.redis", on),
		DaprComponent(DaprPubSub, "pubsub.redis", on),
		DaprComponent(DaprConfig, "configuration.redis", on),
	)
}

// DaprInMemory adds DaprState and DaprPubSub in the sidecar's memory.
func DaprInMemory() DaprOption {
	return daprAll(
		DaprComponent(DaprState, "state.in-memory", nil),
		DaprComponent(DaprPubSub, "pubsub.in-memory", nil),
	)
}

func daprAll(opts ...DaprOption) DaprOption {
	return func(c *daprConfig) error {
		for _, o := range opts {
			if err := o(c); err != nil {
				return err
			}
		}
		return nil
	}
}

func newDaprConfig(opts []DaprOption) (*daprConfig, error) {
	c := &daprConfig{appID: "app"}
	if err := daprAll(opts...)(c); err != nil {
		return nil, fmt.Errorf("testbed: %w", err)
	}
	return c, nil
}

// args are the flags of a sidecar: loopback only, on its own ports.
func (c *daprConfig) args(s *DaprSidecar) []string {
	args := []string{
		"--app-id", c.appID, "--resources-path", s.path("components"), "--config", s.path("config.yaml"),
		"--dapr-listen-addresses", "127.0.0.1", "--dapr-grpc-port", s.port(daprGRPC), "--dapr-http-port", s.port(daprHTTP),
		"--dapr-internal-grpc-listen-address", "127.0.0.1", "--dapr-internal-grpc-port", s.port(daprInternal),
		"--metrics-listen-address", "127.0.0.1", "--metrics-port", s.port(daprMetrics),
		"--dapr-graceful-shutdown-seconds", "1",
	}
	if c.appPort > 0 {
		args = append(args, "--app-port", strconv.Itoa(c.appPort), "--app-protocol", "grpc")
	}
	return append(args, c.more...)
}

func (c *daprConfig) env() []string {
	env := []string{"DAPR_HOST_IP=127.0.0.1"}
	if c.token != "" {
		env = append(env, "DAPR_API_TOKEN="+c.token)
	}
	return env
}

// resource is a file that the runtime reads. It is JSON, which is also YAML.
type resource struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Spec       map[string]any    `json:"spec"`
}

func newResource(kind, name string, spec map[string]any) resource {
	return resource{APIVersion: "dapr.io/v1alpha1", Kind: kind, Metadata: map[string]string{"name": name}, Spec: spec}
}

func (r resource) write(file string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// writeFiles writes the files that the sidecar reads when it starts.
func (c *daprConfig) writeFiles(s *DaprSidecar) error {
	names := c.names
	if names == "" {
		names = s.path("names.db")
	}
	resolution := map[string]any{"component": "sqlite", "version": "v1", "configuration": map[string]any{"connectionString": names}}
	err := errors.Join(
		os.Mkdir(s.path("components"), 0o700),
		newResource("Configuration", "config", map[string]any{"nameResolution": resolution}).write(s.path("config.yaml")),
	)
	for _, k := range c.components {
		items := []map[string]string{}
		for name, value := range k.metadata {
			items = append(items, map[string]string{"name": name, "value": value})
		}
		spec := map[string]any{"type": k.kind, "version": "v1", "metadata": items}
		err = errors.Join(err, newResource("Component", k.name, spec).write(s.path("components/"+k.name+".yaml")))
	}
	return err
}
