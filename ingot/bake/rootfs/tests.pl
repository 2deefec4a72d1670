#!/usr/bin/perl
# Runs the recipe's tests inside a clone that was launched to be tested: its user data has {"ingot": {"test": true}}. Others end here.
use strict;
use warnings;
use lib '/usr/lib/ingot';
use Ingot;

my $LIMIT = $ARGV[0] // 300;    # seconds for all tests together; a machine without hardware virtualisation starts slowly
my $user_data = Ingot::wait_for_metadata('user-data', 120);
exit 0 unless defined $user_data && $user_data =~ /"ingot"\s*:\s*\{[^{}]*"test"\s*:\s*true\b/;

sub http_test {
    my (%want) = @_;
    my ($status, $body) = Ingot::http('GET', '127.0.0.1', $want{port}, $want{path});
    return (0, $body) unless $status;
    return (0, "status $status, expected $want{status}") if $status != $want{status};
    return (0, "the answer does not contain '$want{contains}'") if index($body, $want{contains}) < 0;
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
    open my $output, '-|', 'timeout', '60', '/bin/sh', '-c', "exec 2>&1\n$want{run}" or return (0, "sh: $!");
    my $text = join '', <$output>;
    close $output;
    my $status = $? >> 8;
    return ($status == 0, "exit status $status" . ($text ne '' ? ': ' . substr($text, -200) : ''));
}

my %run = (http => \&http_test, service => \&service_test, command => \&command_test);
my $end = time + $LIMIT;
my ($all_ok, @results) = (1);
for (split /\n/, Ingot::read_file("$Ingot::LIBRARY/tests")) {
    my ($kind, $name, @pairs) = map { Ingot::unescape($_) } split /\t/;
    my %want = map { split /=/, $_, 2 } @pairs;
    my ($ok, $detail) = $run{$kind}->(%want);
    while (!$ok && time < $end) {
        sleep 1;
        ($ok, $detail) = $run{$kind}->(%want);
    }
    $all_ok &&= $ok;
    push @results, '{"detail":' . Ingot::json_string($detail) . ',"name":' . Ingot::json_string($name) . ',"ok":' . ($ok ? 'true}' : 'false}');
}
my $json = '{"digest":' . Ingot::json_string(Ingot::image('digest')) . ',"ok":' . ($all_ok ? 'true' : 'false')
    . ',"recipe":' . Ingot::json_string(Ingot::image('recipe')) . ',"results":[' . join(',', @results) . ']}';
Ingot::report('ingot-test', $json);
