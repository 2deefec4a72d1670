"""A web app with packages from PyPI, its PostgreSQL server, and the password that both know."""

import sys

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_rds as rds
from aws_cdk import aws_secretsmanager as secretsmanager

from ingot.constructs import (
    Builder,
    CloneFleet,
    GoldenImage,
    SecretKey,
    add_builder_outputs,
    add_fleet_outputs,
)
from ingot.errors import IngotError

ISOLATED = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)


def network(scope: cdk.Stack) -> ec2.Vpc:
    """Return a VPC for the load balancer, and for clones and database without a way to the Internet."""
    vpc = ec2.Vpc(
        scope,
        "Vpc",
        ip_addresses=ec2.IpAddresses.cidr("172.20.0.0/16"),
        max_azs=2,
        nat_gateways=0,
        restrict_default_security_group=False,
        subnet_configuration=[
            ec2.SubnetConfiguration(name="Public", subnet_type=ec2.SubnetType.PUBLIC),
            ec2.SubnetConfiguration(name="Clones", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED),
        ],
    )
    vpc.add_interface_endpoint(
        "Secrets", service=ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER, subnets=ISOLATED
    )
    return vpc


def server(scope: cdk.Stack, vpc: ec2.Vpc, login: secretsmanager.Secret) -> rds.DatabaseInstance:
    """Return a PostgreSQL server with a database for the app."""
    return rds.DatabaseInstance(
        scope,
        "Server",
        engine=rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_16),
        instance_type=ec2.InstanceType("t4g.micro"),
        vpc=vpc,
        vpc_subnets=ISOLATED,
        credentials=rds.Credentials.from_secret(login),
        database_name="web",
        storage_encrypted=True,
    )


def main() -> None:
    """Create the builder's stack and the fleet's, write the cloud assembly."""
    app = cdk.App(analytics_reporting=False)
    images = cdk.Stack(app, "Images")
    builder = Builder(images, "Builder")
    add_builder_outputs(builder)
    web = cdk.Stack(app, "Web")
    image = GoldenImage(web, "Image", recipe="flask", builder=builder)
    vpc = network(web)
    login = secretsmanager.Secret(
        web,
        "Login",
        generate_secret_string=secretsmanager.SecretStringGenerator(
            secret_string_template='{"username":"web"}',  # noqa: S106 - what the password is put into
            generate_string_key="password",
            exclude_punctuation=True,
            password_length=32,
        ),
    )
    # The local cloud has no RDS: there each clone has a file of SQLite.
    database = None if app.node.try_get_context("database") == "sqlite" else server(web, vpc, login)
    address = "" if database is None else database.db_instance_endpoint_address
    fleet = CloneFleet(
        web,
        "Fleet",
        image=image,
        vpc=vpc,
        min_clones=2,
        max_clones=4,
        environment={"DATABASE": f"postgresql://web@{address}/web?sslmode=require" if address else "sqlite"},
        secrets={"database-password": SecretKey(login, "password")},
    )
    if database is not None:
        database.connections.allow_default_port_from(fleet)
    add_fleet_outputs(fleet)
    app.synth()


if __name__ == "__main__":
    try:
        main()
    except IngotError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
