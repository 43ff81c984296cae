package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/docker/distribution/configuration"
	"github.com/sirupsen/logrus"
	"gopkg.in/yaml.v2"
)

// What Harbor's build knows beyond Distribution.
type redis struct {
	Addr              string `yaml:"addr"`
	Username          string `yaml:"username"`
	Password          string `yaml:"password"`
	EnableTLS         bool   `yaml:"enableTLS"`
	SentinelMasterSet string `yaml:"sentinelMasterSet"`
}

// relayRedis leads the registry's connections, where they need a user name or TLS, through a relay on loopback that
// logs them in: Distribution 2.8 knows neither.
func relayRedis(path string, config *configuration.Configuration) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var parsed struct{ Redis redis }
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		return err
	}
	own := parsed.Redis
	// Environment variables such as REGISTRY_REDIS_PASSWORD were merged already.
	own.Addr, own.Password = config.Redis.Addr, config.Redis.Password
	if user, ok := os.LookupEnv("REGISTRY_REDIS_USERNAME"); ok {
		own.Username = user
	}
	if own.SentinelMasterSet != "" {
		return fmt.Errorf("sentinelMasterSet: Sentinel is not provided for here")
	}
	if own.Addr == "" || (own.Username == "" && !own.EnableTLS) {
		return nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	config.Redis.Addr, config.Redis.Password = listener.Addr().String(), ""
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				logrus.Fatalf("the relay to Redis ended: %v", err)
			}
			go func() {
				if err := own.relay(connection); err != nil {
					logrus.Errorf("redis: %v", err)
				}
			}()
		}
	}()
	return nil
}

func (own redis) relay(near net.Conn) error {
	defer near.Close()
	far, err := own.dial()
	if err != nil {
		return err
	}
	defer far.Close()
	answers := bufio.NewReader(far)
	if own.Password != "" {
		arguments := []string{"AUTH", own.Username, own.Password}
		if own.Username == "" {
			arguments = []string{"AUTH", own.Password}
		}
		var command strings.Builder
		fmt.Fprintf(&command, "*%d\r\n", len(arguments))
		for _, argument := range arguments {
			fmt.Fprintf(&command, "$%d\r\n%s\r\n", len(argument), argument)
		}
		if _, err := io.WriteString(far, command.String()); err != nil {
			return err
		}
		answer, err := answers.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(answer, "+OK") {
			return fmt.Errorf("login as %q: %s", own.Username, strings.TrimSpace(answer))
		}
	}
	go func() {
		_, _ = io.Copy(far, near)
		far.Close()
	}()
	_, _ = io.Copy(near, answers)
	return nil
}

func (own redis) dial() (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if !own.EnableTLS {
		return dialer.Dial("tcp", own.Addr)
	}
	return tls.DialWithDialer(dialer, "tcp", own.Addr, &tls.Config{MinVersion: tls.VersionTLS12})
}
