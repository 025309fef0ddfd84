// Package broker is what the programs share: the broker under test, and an end with the right exit code.
package broker

import (
	"fmt"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Limit is met only by a broker that does not answer.
const Limit = 60 * time.Second

// Connect opens a connection; what fails ends the program.
func Connect() *amqp.Connection {
	connection, err := amqp.Dial(os.Getenv("AMQP_URL"))
	Must(err)
	return connection
}

// Channel opens a channel of the connection.
func Channel(connection *amqp.Connection) *amqp.Channel {
	channel, err := connection.Channel()
	Must(err)
	return channel
}

// Fresh declares a queue that has nothing left in it from a run that failed.
func Fresh(channel *amqp.Channel, name string) string {
	_, err := channel.QueueDelete(name, false, false, false)
	Must(err)
	queue, err := channel.QueueDeclare(name, true, false, false, false, nil)
	Must(err)
	return queue.Name
}

// Receive waits for what a channel of Go brings.
func Receive[T any](from <-chan T, what string) T {
	select {
	case value, open := <-from:
		Check(open, "closed: %s", what)
		return value
	case <-time.After(Limit):
		Check(false, "nothing came of: %s", what)
		panic("unreachable")
	}
}

// Check ends the program where something does not hold.
func Check(holds bool, format string, values ...any) {
	if !holds {
		fmt.Fprintf(os.Stderr, format+"\n", values...)
		os.Exit(1)
	}
}

// Must ends the program where something failed.
func Must(err error) { Check(err == nil, "%v", err) }
