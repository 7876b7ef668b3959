package testbed

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// NATSServer is a nats-server v2.15 with JetStream in a separate process: a single
// server, or a member of a NATSGroup. Its data is kept over restarts.
//
// Start returns when JetStream is up; a member of a cluster does that without a
// quorum as well (see NATSGroup.WaitOK).
type NATSServer struct {
	*member
	config *natsConfig
	name   string
}

// StartNATS starts one nats-server and returns when it serves. The caller has
// to Close it. The first start builds the program, see BuildServers.
func StartNATS(ctx context.Context, opts ...NATSOption) (*NATSServer, error) {
	g, err := startNATSGroup(ctx, 1, opts)
	if err != nil {
		return nil, err
	}
	return g.Nodes[0], nil
}

// URL is "nats://127.0.0.1:PORT", without credentials. A server that was
// started with NATSTLS asks its clients to speak TLS there.
func (s *NATSServer) URL() string { return natsURL(nil, s) }

// URLFor is URL with a user's name and password, or a token for a name.
func (s *NATSServer) URLFor(user, password string) string {
	return natsURL(natsUser(user, password), s)
}

// MonitorURL is the URL of the monitoring pages, "http://127.0.0.1:PORT".
func (s *NATSServer) MonitorURL() string { return "http://" + s.ports[1].addr() }

func natsUser(user, password string) *url.Userinfo {
	if password == "" {
		return url.User(user)
	}
	return url.UserPassword(user, password)
}

func natsURL(user *url.Userinfo, servers ...*NATSServer) string {
	u := url.URL{Scheme: "nats", User: user, Host: strings.Join(addrs(servers), ",")}
	return u.String()
}

// Name is the server's name, as the cluster knows it.
func (s *NATSServer) Name() string { return s.name }

// alive succeeds when JetStream is up in this process.
func (s *NATSServer) alive(ctx context.Context) error {
	_, err := httpGet(ctx, s.MonitorURL()+"/healthz?js-enabled-only=true")
	return err
}

// healthyNATS succeeds when the server and all its streams serve.
func healthyNATS(ctx context.Context, s *NATSServer) error {
	_, err := httpGet(ctx, s.MonitorURL()+"/healthz")
	return err
}

// jetStreamState has the fields that we read from the monitoring page /jsz.
type jetStreamState struct {
	Meta struct {
		Leader string `json:"leader"`
		Size   int    `json:"cluster_size"`
	} `json:"meta_cluster"`
	Accounts []struct {
		Streams []streamState `json:"stream_detail"`
	} `json:"account_details"`
}

type streamState struct {
	Name    string `json:"name"`
	Cluster struct {
		Leader string `json:"leader"`
	} `json:"cluster"`
}

// jetStream reads the server's view of JetStream.
func (s *NATSServer) jetStream(ctx context.Context) (state jetStreamState, err error) {
	page, err := httpGet(ctx, s.MonitorURL()+"/jsz?accounts=true&streams=true")
	if err == nil {
		err = json.Unmarshal(page, &state)
	}
	return state, err
}

// streamLeader is the name of the member that leads a stream, in the view of s.
func (s *NATSServer) streamLeader(ctx context.Context, stream string) (string, error) {
	state, err := s.jetStream(ctx)
	if err != nil {
		return "", err
	}
	for _, a := range state.Accounts {
		for _, st := range a.Streams {
			if st.Name == stream {
				return st.Cluster.Leader, nil
			}
		}
	}
	return "", fmt.Errorf("it holds no stream %q", stream)
}
