#!/usr/bin/perl
# Runs the recipe's tests inside a clone that was launched to be tested: its user data has {"ingot": {"test": true}}. Others end here.
# With "end": SECONDS in it the clone powers off by itself after these, whatever became of who launched it.
use strict;
use warnings;
use lib '/usr/lib/ingot';
use Ingot;

my $LIMIT = $ARGV[0] // 300;    # seconds for all tests together; a machine without hardware virtualisation starts slowly
my $AGAIN = $ARGV[1] // 8;      # seconds after which the result is told once more
my $COMMAND = $ARGV[2] // 60;   # seconds for one command
my $STEADY = $ARGV[3] // 60;    # seconds after which a wrong answer that stays the same counts
my $SAY_EVERY = 15;             # seconds
my $BOOT = 300;                 # seconds until the boot has finished
my $user_data = Ingot::wait_for_metadata('user-data', 120);
exit 0 unless defined $user_data && $user_data =~ /"ingot"\s*:\s*\{[^{}]*"test"\s*:\s*true\b/;
if ($user_data =~ /"ingot"\s*:\s*\{[^{}]*"end"\s*:\s*(\d+)/) {
    system 'systemd-run', '--quiet', '--unit=ingot-test-end', '--description=The end of this test clone', "--on-active=$1", 'systemctl', 'poweroff';
}

# The boot has finished when systemd has nothing more to start; `systemctl is-system-running` ends with an error where a unit failed.
system "timeout $BOOT systemctl is-system-running --wait >/dev/null 2>&1";

# Without its configuration no service that needs it comes up: each test is tried once.
my $unconfigured = Ingot::read_file(Ingot::scratch('unconfigured'));
$LIMIT = 0 if $unconfigured ne '';

# Whether it passed, what it said, and whether that is an answer of the app itself: not silence, not the error of one that still starts.
sub http_test {
    my (%want) = @_;
    my ($status, $body) = Ingot::http('GET', '127.0.0.1', $want{port}, $want{path});
    return (0, $body) unless $status;
    return (0, "status $status, expected $want{status}", $status < 500) if $status != $want{status};
    return (0, "the answer does not contain '$want{contains}'", 1) if index($body, $want{contains}) < 0;
    return (1, "status $status");
}

sub service_test {
    my (%want) = @_;
    my $state = qx(systemctl is-active -- '$want{unit}' 2>&1);
    chomp $state;
    return ($state eq 'active', $state);
}

sub command_test {
    my (%want) = @_;
    my $output = Ingot::scratch("test.$$");
    # Into a file: what the command leaves running behind it would keep a pipe open.
    my $status = system 'timeout', '-k', '5', $COMMAND, '/bin/sh', '-c', "exec >$output 2>&1\n$want{run}";
    my $text = Ingot::read_file($output);
    unlink $output;
    return (0, "timeout: $!") if $status < 0;
    # 124 and, by a signal that cannot be ignored, 137: timeout(1).
    my $code = $status & 127 ? 128 + ($status & 127) : $status >> 8;
    my $late = $code == 124 || $code == 137 ? " (it ran for more than $COMMAND s)" : '';
    return ($code == 0, "exit status $code$late" . ($text ne '' ? ': ' . substr($text, -200) : ''));
}

# Why systemd takes a unit for failed, such as exit-code or timeout: systemd.exec(5), SERVICE_RESULT.
sub result_of {
    my ($unit) = @_;
    my $result = qx(systemctl show --value --property=Result -- '$unit' 2>/dev/null);
    chomp $result;
    return $result;
}

my %run = (http => \&http_test, service => \&service_test, command => \&command_test);
my $end = time + $LIMIT;
my ($all_ok, @results) = (1);
my %may_fail;
for (split /\n/, Ingot::read_file("$Ingot::LIBRARY/tests")) {
    my ($kind, $name, @pairs) = map { Ingot::unescape($_) } split /\t/;
    if ($kind eq 'may-fail') { $may_fail{$name} = 1; next }
    my %want = map { split /=/, $_, 2 } @pairs;
    my ($ok, $detail, $answered) = $run{$kind}->(%want);
    my ($last, $since, $said) = ($detail, time, time);
    while (!$ok && time < $end && !($answered && time - $since >= $STEADY)) {
        if (time - $said >= $SAY_EVERY) {
            Ingot::say("ingot: waits for the test '" . Ingot::escape("$name': $detail"));
            $said = time;
        }
        sleep 1;
        ($ok, $detail, $answered) = $run{$kind}->(%want);
        ($last, $since) = ($detail, time) if $detail ne $last;
    }
    $all_ok &&= $ok;
    push @results, '{"detail":' . Ingot::json_string($detail) . ',"name":' . Ingot::json_string($name) . ',"ok":' . ($ok ? 'true}' : 'false}');
}
if ($unconfigured ne '') {
    $all_ok = 0;
    push @results, '{"detail":' . Ingot::json_string($unconfigured) . ',"name":"the configuration is there","ok":false}';
}
# After the tests: one of them may have made a unit fail.
my @failed = grep { !$may_fail{$_} } map { (split)[0] // () } qx(systemctl list-units --state=failed --plain --no-legend --no-pager 2>/dev/null);
if (@failed) {
    $all_ok = 0;
    my $why = join ', ', map { "$_ (" . result_of($_) . ')' } @failed;
    push @results, '{"detail":' . Ingot::json_string($why) . ',"name":"no unit has failed","ok":false}';
}
my $json = '{"digest":' . Ingot::json_string(Ingot::image('digest')) . ',"ok":' . ($all_ok ? 'true' : 'false')
    . ',"recipe":' . Ingot::json_string(Ingot::image('recipe')) . ',"results":[' . join(',', @results) . ']}';
# Twice: a login prompt that takes the console over, or a word of the kernel's, may tear the first line.
Ingot::report('ingot-test', $json);
sleep $AGAIN;
Ingot::report('ingot-test', $json);
