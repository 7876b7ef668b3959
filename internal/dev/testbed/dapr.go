package testbed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// BuildDaprd builds the Dapr runtime, unless it is in the user's cache folder
// already, as [BuildServers] does with etcd and nats-server, and returns its
// path.
func BuildDaprd(ctx context.Context) (path string, err error) {
	path, err = daprdProgram.get(ctx)
	if err != nil {
		return "", fmt.Errorf("testbed: building daprd: %w", err)
	}
	return path, nil
}

// The names of the components that DaprRedis and DaprInMemory set up.
const (
	DaprState  = "statestore"
	DaprPubSub = "pubsub"
	DaprConfig = "configstore" // DaprRedis only
)

// DaprSidecar is a Dapr runtime v1.18 in a separate process: the sidecar of one
// app. The data of components in memory is lost when it ends.
//
// Start returns when its components serve; its app need not be there.
type DaprSidecar struct {
	*member
	config *daprConfig
}

// The sidecar's ports, by their place in member.ports.
const (
	daprGRPC = iota
	daprHTTP
	daprInternal
	daprMetrics
	daprPorts
)

// StartDapr starts one sidecar and returns when it serves. The caller must
// Close it. The first start builds the program, see BuildDaprd.
func StartDapr(ctx context.Context, opts ...DaprOption) (*DaprSidecar, error) {
	config, err := newDaprConfig(opts)
	if err != nil {
		return nil, err
	}
	program, err := BuildDaprd(ctx)
	if err != nil {
		return nil, err
	}
	return retryBind(func() (*DaprSidecar, error) { return startDapr(ctx, program, config) })
}

func startDapr(ctx context.Context, program string, config *daprConfig) (*DaprSidecar, error) {
	m, err := newMember("dapr", daprPorts)
	if err != nil {
		return nil, err
	}
	s := &DaprSidecar{member: m, config: config}
	s.spec.path, s.spec.args, s.spec.env, s.spec.ready = program, config.args(s), config.env(), s.ready
	if err := config.writeFiles(s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// URL is "dapr://127.0.0.1:PORT", without a token.
func (s *DaprSidecar) URL() string { return "dapr://" + s.Addr() }

// AppID is the id of the sidecar's app.
func (s *DaprSidecar) AppID() string { return s.config.appID }

func (s *DaprSidecar) port(i int) string { return strconv.Itoa(s.ports[i].number) }

// ready succeeds when the components of the sidecar serve. The runtime
// reports that it is healthy shortly before it ends because a component cannot be
// initialised, so ready also reads its list of components.
func (s *DaprSidecar) ready(ctx context.Context) error {
	if _, err := s.get(ctx, "/v1.0/healthz/outbound", http.StatusNoContent); err != nil {
		return err
	}
	body, err := s.get(ctx, "/v1.0/metadata", http.StatusOK)
	if err != nil {
		return err
	}
	var has struct{ Components []any }
	if err := json.Unmarshal(body, &has); err != nil {
		return err
	}
	if want := len(s.config.components); len(has.Components) < want {
		return fmt.Errorf("%d of %d components are initialised", len(has.Components), want)
	}
	return nil
}

func (s *DaprSidecar) get(ctx context.Context, path string, want int) ([]byte, error) {
	return httpGetStatus(ctx, "http://"+s.ports[daprHTTP].addr()+path, want, http.Header{"Dapr-Api-Token": {s.config.token}})
}
